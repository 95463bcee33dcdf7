package route

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"runtime/pprof"
	"sync/atomic"

	"flanneld/encap"
	"flanneld/tun"
)

// Limits of a batch. What a loop works on should stay in the second-level cache.
const (
	// batchSize is how many messages a loop sends at once.
	batchSize = 64

	// egressBatch is how many packets a loop takes from its queue at once, and
	// egressSlab how many bytes: three superpackets and a bit.
	egressBatch = 128
	egressSlab  = 256 << 10

	// ingressBatch is how many messages a loop receives at once, ingressTrains
	// how many while they are trains, of up to 64 KB each.
	ingressBatch  = 64
	ingressTrains = 16
)

// Queue is what a lane needs of the overlay edge; *tun.Queue is one. Read is
// called by one loop, WriteRun by the other, Write by the first and Offloads by
// the second.
type Queue interface {
	Read(*tun.Batch) (int, error)
	Write(packet []byte) error
	WriteRun(*tun.Run) error
	Offloads() tun.Offloads
	Close() error
}

// Conn is what a lane needs of the underlay edge; *encap.Conn is one. Send,
// MaxSegments and PathMTU are called by one loop, Receive by the other.
type Conn interface {
	Send([]encap.Message) (int, error)
	MaxSegments() int
	Receive([]encap.Message) (int, error)
	PathMTU(netip.Addr) (int, error)
	Overflows() uint64
	Close() error
}

// Lane is one queue and one socket. A flow stays in its lane.
type Lane struct {
	Queue Queue
	Conn  Conn
}

// Config says what a Forwarder forwards.
type Config struct {
	// Lanes to forward on, at least one. Run closes them.
	Lanes []Lane

	// Table of routes. It may be filled and changed at any time.
	Table *Table

	// Lease is this node's own prefix: overlay packets must come from it to
	// leave, and go to it to enter. Its first address is the source of ICMP
	// messages.
	Lease netip.Prefix

	// MTU of the device, 68 to 65507 bytes. Larger packets from peers are
	// dropped.
	MTU int

	// Logger is told of transitions, never of single packets.
	Logger *slog.Logger
}

func (c *Config) check() error {
	switch {
	case len(c.Lanes) == 0:
		return errors.New("route: no lanes")
	case c.Table == nil || c.Logger == nil:
		return errors.New("route: no table or no logger")
	case !c.Lease.IsValid() || !c.Lease.Addr().Is4() || c.Lease != c.Lease.Masked():
		return fmt.Errorf("route: lease %s: not an IPv4 prefix", c.Lease)
	case c.MTU < minMTU || c.MTU > encap.MaxPayload:
		return fmt.Errorf("route: MTU %d: must be %d to %d", c.MTU, minMTU, encap.MaxPayload)
	}
	return nil
}

// Forwarder runs the loops of all lanes.
type Forwarder struct {
	lanes   []*lane
	log     *slog.Logger
	started atomic.Bool
}

// lane is a Lane with its loops.
type lane struct {
	Lane
	egress    *egress
	ingress   *ingress
	overflows atomic.Uint64 // of the socket, when last asked
}

// NewForwarder makes a forwarder and all its buffers. It takes the lanes over
// unless it fails.
func NewForwarder(cfg Config) (*Forwarder, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	f := &Forwarder{log: cfg.Logger}
	limit := newAnswerLimit()
	for _, l := range cfg.Lanes {
		f.lanes = append(f.lanes, &lane{
			Lane:    l,
			egress:  newEgress(l, &cfg, limit),
			ingress: newIngress(l, &cfg),
		})
	}
	return f, nil
}

// Run forwards until ctx ends, then returns nil; or until a loop fails, then
// returns its error (which wraps tun.ErrDeviceGone when the device was deleted).
// When it returns, all loops have ended and all lanes are closed, so a forwarder
// runs once.
func (f *Forwarder) Run(ctx context.Context) error {
	if f.started.Swap(true) {
		return errors.New("route: a forwarder runs only once")
	}
	ended := make(chan error)
	for i, l := range f.lanes {
		go func() { ended <- onThread("egress", i, l.egress.run) }()
		go func() { ended <- onThread("ingress", i, l.ingress.run) }()
	}
	f.log.Debug("forwarding", "lanes", len(f.lanes))
	return f.await(ctx, ended)
}

// await closes the lanes once ctx ends or a loop does, waits for all loops, and
// returns what was the matter.
func (f *Forwarder) await(ctx context.Context, ended <-chan error) error {
	var failure error
	stop := ctx.Done()
	for running := 2 * len(f.lanes); running > 0; {
		select {
		case <-stop:
		case err := <-ended:
			running--
			if failure == nil && stop != nil && ctx.Err() == nil {
				failure = err
			}
		}
		if stop != nil {
			stop = nil
			f.close()
		}
	}
	return failure
}

// close makes the loops end. Nothing is read, sent or written any more.
func (f *Forwarder) close() {
	for _, l := range f.lanes {
		l.countOverflows() // the socket takes its counter along
		for _, err := range []error{l.Queue.Close(), l.Conn.Close()} {
			if err != nil && !errors.Is(err, fs.ErrClosed) && !errors.Is(err, net.ErrClosed) {
				f.log.Warn("closing a lane", "error", err)
			}
		}
	}
}

// onThread runs a loop on an operating system thread of its own, under a name
// that profiles show.
func onThread(loop string, lane int, run func() error) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	labels := pprof.Labels("loop", loop, "lane", fmt.Sprint(lane))
	pprof.Do(context.Background(), labels, func(context.Context) { err = run() })
	return fmt.Errorf("route: %s of lane %d: %w", loop, lane, err)
}

// Stats returns what was done so far. It may be called at any time from any
// goroutine; the numbers are at most one batch old.
func (f *Forwarder) Stats() Counters {
	c := Counters{Egress: newDirection(egressReasons), Ingress: newDirection(ingressReasons)}
	for _, l := range f.lanes {
		l.egress.counters.addTo(&c.Egress)
		l.ingress.counters.addTo(&c.Ingress)
		c.Answers.Sent += l.egress.counters.answered.Load()
		c.Answers.Suppressed += l.egress.counters.suppressed.Load()
		c.Answers.Failed += l.egress.counters.unanswered.Load()
		c.Ingress.add(ReceiveOverflow, l.countOverflows())
	}
	return c
}

// add counts drops that no loop has seen.
func (d *Direction) add(r Reason, n uint64) {
	for i := range d.Drops {
		if d.Drops[i].Reason == r {
			d.Drops[i].Packets += n
		}
	}
}

// countOverflows asks the socket, as long as it is open.
func (l *lane) countOverflows() uint64 {
	now := l.Conn.Overflows()
	for {
		last := l.overflows.Load()
		if now <= last {
			return last
		}
		if l.overflows.CompareAndSwap(last, now) {
			return now
		}
	}
}
