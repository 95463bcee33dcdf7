// SPDX-License-Identifier: Apache-2.0

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

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/host/guard"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/page"
	"flanneld/internal/plan"
	"flanneld/internal/problem"
	"flanneld/internal/trace"
	"flanneld/internal/underlaywatch"
	"flanneld/internal/view"
	"flanneld/internal/web"
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

// daemon is a running flanneld. Its fields are set before Run's other
// goroutines start, or belong to the goroutine of Run, or may be used
// concurrently.
type daemon struct {
	cfg     config.Config // without static peers that name this host
	version string
	log     *slog.Logger
	started time.Time
	reload  <-chan os.Signal

	itself   []config.StaticPeer // entries that name this host
	loopback bool                // the underlay is the loopback interface
	mtu      int                 // of the overlay device
	node     *peers.Node
	cluster  *cluster // nil: no --join k8s:
	view     *view.View
	server   *control.Server
	web      *web.Server // nil: no --metrics
	page     *page.Page  // nil: no --metrics
	shown    atomic.Pointer[shown]
	pulse    chan struct{} // taken by Run's goroutine: it answers
	watch    *underlaywatch.Watcher
	planes   planes
	problems *problem.Board
	events   events
	tracing  sync.Mutex    // held by the trace that runs
	watched  trace.Watcher // of other nodes' traces
	parts    *guard.Parts  // what is kept on the host
	hub      *ruleset.Hub  // reports changes of packet filter rules
	guard    *guard.Guard
	endGuard func()       // may be called again
	ready    atomic.Int64 // nanoseconds from start to READY=1; 0: not yet
	// overlapped is nil where nothing is in the network's way.
	overlapped atomic.Pointer[overlapped]

	notify    notifier
	waiting   map[string]bool // what was logged, without numbers, since the lease was last confirmed
	replan    chan struct{}   // capacity one: what the plan stands on has changed
	seen      plan.Seen
	seenEnd   <-chan time.Time // nil: no other node was seen, or it is over
	inherited inheritance
	shortcuts shortcuts
	sealing   sealing
	exits     exits
}

// exits is how a daemon comes to its end.
type exits struct {
	peersDone chan error      // what peers.Run returned; nil once that was read
	left      chan leaveReply // from a request to leave, once the lease is handed back
	leaving   atomic.Bool
	ended     chan struct{} // closed when Run returns
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
		planes:   planes{settings: dataplane.SettingsOf(o.Config, o.Log), routes: dataplane.NewRoutes()},
		problems: problem.NewBoard(o.Log), events: newEvents(o.Log), endGuard: func() {}, replan: make(chan struct{}, 1), pulse: make(chan struct{}),
		shortcuts: shortcuts{switching: make(chan switchRequest)},
		exits:     exits{peersDone: make(chan error, 1), left: make(chan leaveReply), ended: make(chan struct{})},
		watched:   trace.Watcher{Open: watchEchoes},
	}
	defer d.watched.Close()
	defer close(d.exits.ended)
	d.problems.Follow(d.events.problem)
	defer func() { d.events.end(err, d.exits.leaving.Load()) }()
	defer d.endWeb(context.Background())
	processors := dataplane.Processors{Lanes: d.planes.settings.AllLanes()}
	processors.Widen()
	if err := d.prepare(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil // asked to stop while it waited
		}
		return err
	}
	if err := d.beginGuard(); err != nil {
		return errors.Join(err, d.node.Close())
	}
	d.show(shown{face: api{d.view, d}, answers: d.node.Answers, hanging: d.guard.Hanging})
	serving := make(chan error, 1)
	go func() { serving <- d.server.Serve() }()
	peersCtx, endPeers := context.WithCancel(context.Background())
	go func() { d.exits.peersDone <- d.node.Run(peersCtx) }()

	watching, endWatch := context.WithCancel(context.Background())
	d.watch.Start(watching)
	go processors.Follow(watching)
	go d.events.followDrops(watching, &d.planes.totals)
	if d.cluster != nil {
		go d.cluster.reporter.Run(watching)
	}
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
		case reply := <-d.exits.left:
			reply <- d.dismantle()
			return nil
		case err = <-d.exits.peersDone:
			d.exits.peersDone = nil
			err = d.cluster.explain(err)
			if err == nil && !d.exits.leaving.Load() {
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
		case <-d.inherited.end:
			err = d.disinherit()
		case <-d.replan:
			err = d.route(d.node.Snapshot())
		case <-d.parts.Paths.Changed():
			err = d.pathsChanged()
		case <-d.parts.PathRules.Changed():
			err = d.pathsChanged()
		case <-d.parts.Shortcut.Changed():
			err = d.shortcutChanged()
		case r := <-d.shortcuts.switching:
			err = d.switchShortcut(r.on)
			r.done <- err
		case <-d.planes.settled():
			d.planes.current().settled = nil // seen
			err = d.announce(d.node.Snapshot())
		case failure := <-d.planes.failed():
			err = d.rebuild(failure)
		case <-d.pulse:
		case <-d.reload:
			d.reloadKey()
		case <-d.watch.Changes():
			d.watch.Soon()
		case <-d.watch.Due():
			err = d.checkUnderlay()
			d.reviewOverlaps()
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
	d.events.snapshot(s)
	if err := d.beginSealing(s); err != nil {
		return err
	}
	if d.seen.Add(s) {
		d.seenEnd = time.After(plan.SeenTime)
	}
	d.watch.Listen(s, time.Now())
	if p := d.planes.current(); s.Lease == peers.Confirmed && (p == nil || p.Lease() != s.Self.Lease.Prefix) {
		if err := d.postpone(d.replacePlane(s)); err != nil {
			return err
		}
	} else if err := d.route(s); err != nil {
		return err
	}
	d.protectPorts(s)
	return d.announce(s)
}

// route gives the forwarder the routes of a snapshot.
func (d *daemon) route(s *peers.Snapshot) error {
	next := plan.Make(d.planInput(s))
	if err := d.planes.routes.Store(next, s, d.log); err != nil {
		return err
	}
	d.events.paths(next)
	d.reach(next)
	if p := d.planes.current(); p != nil {
		p.monitor.Update()
	}
	return nil
}

func (d *daemon) reloadKey() {
	if d.cfg.KeyFile == "" {
		d.log.Info("asked to read the cluster key again, but there is no --key-file")
		return
	}
	if err := errors.Join(d.node.ReloadKey(), d.rekey()); err != nil {
		d.log.Error("cluster key not read again, the old one stays", "error", err)
		d.events.key("refused", "the cluster key was not read again, the old one stays", oneLine(err))
		return
	}
	d.log.Info("cluster key read again", "file", d.cfg.KeyFile)
	d.events.key("read", "the cluster key was read again from "+d.cfg.KeyFile, "asked to by SIGHUP")
}

// stop ends everything in order: requests, then gossip, then forwarding, which
// other hosts would miss. What is on the host stays.
func (d *daemon) stop(endPeers context.CancelFunc) error {
	d.notify.send("STOPPING=1")
	deadline := time.NewTimer(stopTime)
	defer deadline.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	err := d.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // a caller that does not read its answer is no failure
	}
	d.endWeb(ctx)
	endPeers()
	if d.exits.peersDone != nil {
		select {
		case failure := <-d.exits.peersDone:
			err = errors.Join(err, failure)
		case <-deadline.C:
			err = errors.Join(err, errors.New("gossip did not stop in time"))
		}
	}
	if d.planes.current() != nil {
		d.guard.Settle(context.Background())
	}
	d.closePlane()
	d.endSealing()
	d.endGuard()
	d.withdrawPorts()
	d.planes.sockets.Close()
	return err
}
