package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"flanneld/encap"
	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/plan"
	"flanneld/internal/problem"
	"flanneld/internal/underlaywatch"
	"flanneld/peers"
)

// Options are what Run needs to know.
type Options struct {
	Config  config.Config
	Version string
	Log     *slog.Logger
	// Reload asks to read the key file again (SIGHUP).
	Reload <-chan os.Signal
}

const (
	// stopTime is how long an orderly stop may take in all.
	stopTime = 4500 * time.Millisecond
	// answerTime is how long requests under way may take of that.
	answerTime = time.Second
)

// daemon is a running flanneld. What is not guarded is set before Run's other
// goroutines start, or belongs to the goroutine of Run.
type daemon struct {
	cfg     config.Config
	version string
	log     *slog.Logger
	reload  <-chan os.Signal
	started time.Time

	itself   []config.StaticPeer // entries that name this host; cfg has the others
	loopback bool                // the underlay is the loopback interface
	mtu      int                 // of the overlay device
	node     *peers.Node
	server   *control.Server
	sockets  []*encap.Conn // bound at the start, taken over by the first plane
	routing  *routing
	notify   notifier
	problems *problem.Board
	guard    *guard
	endGuard func() // may be called again
	opened   bool   // a data plane was made since the start

	peersDone chan error      // what peers.Run returned
	left      chan leaveReply // from a request to leave, once the lease is handed back
	leaving   atomic.Bool
	troubled  atomic.Bool   // some data path does not work
	ended     chan struct{} // closed when Run returns

	mu     sync.Mutex    // guards what follows; Run's goroutine alone writes plane, and reads it without
	plane  *plane        // nil: none
	totals totals        // of planes that are gone
	ready  time.Duration // from start to READY=1; 0: not yet

	waiting map[string]bool // what was logged, without numbers, since the lease was last confirmed
	seen    plan.Seen
	seenEnd <-chan time.Time // nil: no other node was seen, or it is over
	watch   *underlaywatch.Watcher
}

// leaveReply takes what could not be removed.
type leaveReply chan []string

// Run is the daemon. It returns nil when ctx ended or the node has left the
// network, after an orderly stop in both cases: within 5 s, and with ctx ended,
// device, addresses, routes, rules and files stay for the next start. An error
// is one line and says what to do.
func Run(ctx context.Context, o Options) (err error) {
	d := &daemon{
		cfg: o.Config, version: o.Version, log: o.Log, reload: o.Reload, started: time.Now(),
		peersDone: make(chan error, 1), left: make(chan leaveReply), ended: make(chan struct{}), routing: newRouting(),
		problems: problem.NewBoard(o.Log), endGuard: func() {},
	}
	defer close(d.ended)
	room := processors{d.socketConfig().AllLanes()}
	room.widen()
	if err := d.prepare(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil // asked to stop while it waited
		}
		return err
	}
	if err := d.beginGuard(); err != nil {
		return errors.Join(err, d.node.Close())
	}
	serving := make(chan error, 1)
	go func() { serving <- d.server.Serve() }()
	peersCtx, endPeers := context.WithCancel(context.Background())
	go func() { d.peersDone <- d.node.Run(peersCtx) }()

	watching, endWatch := context.WithCancel(context.Background())
	d.watch.Start(watching)
	go room.follow(watching)
	err = d.work(ctx, serving)
	endWatch()
	return errors.Join(err, d.stop(endPeers))
}

// work decides until there is a reason to stop.
func (d *daemon) work(ctx context.Context, serving <-chan error) error {
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case reply := <-d.left:
			reply <- d.dismantle()
			return nil
		case err = <-d.peersDone:
			d.peersDone = nil
			if err == nil && !d.leaving.Load() {
				err = errors.New("gossip ended by itself")
			}
		case err = <-serving:
			serving = nil
			err = fmt.Errorf("control socket: %w", err)
		case <-d.node.Changes():
			err = d.update()
		case <-d.seenEnd:
			d.seenEnd = nil
			d.seen.Close()
			err = d.update()
		case <-d.settled():
			d.plane.settled = nil // seen
			err = d.announce(d.node.Snapshot())
		case failure := <-d.failed():
			err = d.rebuild(failure)
		case <-d.reload:
			d.reloadKey()
		case <-d.watch.Changes():
			d.watch.Soon()
		case <-d.watch.Due():
			err = d.watch.Check()
			d.reportBridges()
		case t := <-d.watch.Trials():
			err = d.watch.Finish(t)
		}
		if err != nil {
			return err
		}
	}
}

// update follows a new snapshot.
func (d *daemon) update() error {
	s := d.node.Snapshot()
	d.tell(s)
	if d.seen.Add(s) {
		d.seenEnd = time.After(plan.SeenTime)
	}
	d.watch.Listen(s, time.Now())
	if s.Lease == peers.Confirmed && (d.plane == nil || d.plane.lease != s.Self.Lease.Prefix) {
		if err := d.postpone(d.replacePlane(s)); err != nil {
			return err
		}
	}
	d.protectPorts(s)
	return errors.Join(d.route(s), d.announce(s))
}

// route gives the forwarder the routes of a snapshot.
func (d *daemon) route(s *peers.Snapshot) error {
	next := plan.Make(plan.Input{Snapshot: s, Static: d.cfg.StaticPeers, Loopback: d.loopback, Unseen: d.seen.Unseen})
	if err := d.routing.store(next, s, d.log); err != nil {
		return err
	}
	if p := d.plane; p != nil {
		d.aim(p)
		if d.troubled.Load() {
			d.reportPaths(p.prober)
		}
		if len(p.surveyor.current()) > 0 {
			d.reportDetours(p.surveyor)
		}
	}
	return nil
}

func (d *daemon) reloadKey() {
	if d.cfg.KeyFile == "" {
		d.log.Info("asked to read the cluster key again, but there is no --key-file")
		return
	}
	if err := d.node.ReloadKey(); err != nil {
		d.log.Error("cluster key not read again, the old one stays", "error", err)
		return
	}
	d.log.Info("cluster key read again", "file", d.cfg.KeyFile)
}

// stop ends everything in order: who asks, then gossip, then forwarding, which
// is what others would miss. What is on the host stays.
func (d *daemon) stop(endPeers context.CancelFunc) error {
	d.notify.send("STOPPING=1")
	deadline := time.NewTimer(stopTime)
	defer deadline.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	err := d.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // a caller who does not read his answer is no failure of ours
	}
	endPeers()
	if d.peersDone != nil {
		select {
		case failure := <-d.peersDone:
			err = errors.Join(err, failure)
		case <-deadline.C:
			err = errors.Join(err, errors.New("gossip did not stop in time"))
		}
	}
	d.closePlane()
	d.endGuard()
	d.withdrawPorts()
	closeSockets(d.sockets)
	return err
}
