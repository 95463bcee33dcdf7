// SPDX-License-Identifier: Apache-2.0

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
	"time"

	"flanneld/encap"
	"flanneld/internal/packet"
	"flanneld/internal/seal"
	"flanneld/tun"
)

// Limits of a batch. The data that a lane works on should stay in the
// second-level cache.
const (
	// batchSize is how many messages a lane sends at once.
	batchSize = 64

	// egressBatch is how many packets a lane takes from its queue at once, and
	// egressSlab how many bytes: somewhat more than three superpackets.
	egressBatch = 128
	egressSlab  = 256 << 10

	// ingressBatch is how many messages a lane receives at once, ingressTrains
	// how many while they are trains, of up to 64 KB each.
	ingressBatch  = 64
	ingressTrains = 16
)

// overflowReading is how often the sockets' overflow counters are read at
// least. The kernel's have 32 bits, which a flood exhausts in minutes.
const overflowReading = 10 * time.Second

// Queue is what a lane needs of the overlay edge; *tun.Queue is one. Read does
// not wait.
type Queue interface {
	Read(*tun.Batch) (int, error)
	Write(packet []byte) error
	WriteRun(*tun.Run) error
	Offloads() tun.Offloads
	Close() error
}

// Conn is what a lane needs of the underlay edge; *encap.Conn is one. Neither
// Send nor Receive waits. Sources never changes.
type Conn interface {
	Sources() int
	Send([]encap.Message) (int, error)
	MaxSegments() int
	Receive([]encap.Message) (int, error)
	PathMTU(netip.Addr) (int, error)
	Overflows() uint64
	Close() error
}

// Waiter waits until a lane's Queue or Conn has something, or is closed; then
// it may return an error. *poll.Waiter is one, and describes the methods.
type Waiter interface {
	Wait(looks int, short time.Duration) error
	Rest(each time.Duration, times int) error
	Sleep(time.Duration)
}

// Lane is one queue and one socket, and a Waiter for both. A flow stays in its
// lane, as long as it stays sparse or bulk.
type Lane struct {
	Queue  Queue
	Conn   Conn
	Waiter Waiter

	// Express marks the lane that receives what peers send as express: sparse
	// flows, which then need not queue behind bulk traffic. At most one lane
	// has it.
	Express bool

	number int // its place among the lanes
}

// Priority is how soon a lane's thread has to run when others want its core.
type Priority int

// The priorities, in ascending order.
const (
	PriorityPlain   Priority = iota - 1 // as any other program's thread
	PriorityNormal                      // with some preference, when its turn comes
	PriorityBatch                       // before all of these
	PriorityExpress                     // before threads of PriorityBatch, too
)

// Config is the configuration of a Forwarder.
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

	// Logger gets transitions, never single packets.
	Logger *slog.Logger

	// OnThread, unless nil, is called on each lane's operating system thread
	// before it forwards, with the lane's place in Lanes. The thread ends with
	// the lane.
	OnThread func(lane int)

	// SetPriority, unless nil, is called on a lane's thread to change its
	// priority, which is PriorityNormal at first. The result is whether the
	// thread has the new one. After false the lane asks neither for that
	// priority again nor for a higher one.
	SetPriority func(Priority) bool

	// Answers, unless nil, gets packets that may answer packets of this
	// program: ICMP messages and TCP resets that a peer sends to the lease's
	// first address, and ICMP messages from the lease that no route has. If it
	// returns true the packet is taken, and neither forwarded nor counted. It
	// is called on the lanes' threads, must not wait, and must keep no part of
	// the packet.
	Answers func(packet []byte) bool

	// Sealing, unless nil, makes the lanes send and take sealed packets only.
	Sealing *Sealing

	// CPUTime, unless nil, is the CPU time that the calling thread has used
	// since it began. With it a lane has a budget for each role in which its
	// thread takes time from others.
	CPUTime func() time.Duration
}

func (c *Config) check() error {
	switch {
	case len(c.Lanes) == 0:
		return errors.New("route: no lanes")
	case c.Sealing != nil && len(c.Lanes) > seal.MaxLanes:
		return fmt.Errorf("route: %d lanes: at most %d can seal", len(c.Lanes), seal.MaxLanes)
	case c.Table == nil || c.Logger == nil:
		return errors.New("route: no table or no logger")
	case !c.Lease.IsValid() || !c.Lease.Addr().Is4() || c.Lease != c.Lease.Masked():
		return fmt.Errorf("route: lease %s: not an IPv4 prefix", c.Lease)
	case c.MTU < packet.MinMTU || c.MTU > encap.MaxPayload:
		return fmt.Errorf("route: MTU %d: must be %d to %d", c.MTU, packet.MinMTU, encap.MaxPayload)
	}
	return nil
}

// Forwarder runs all lanes.
type Forwarder struct {
	lanes    []*lane
	log      *slog.Logger
	onThread func(lane int)
	started  atomic.Bool
}

// NewForwarder makes a forwarder and all its buffers. It takes the lanes over
// unless it fails.
func NewForwarder(cfg Config) (*Forwarder, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	f := &Forwarder{log: cfg.Logger, onThread: cfg.OnThread}
	limit, flows := newICMPLimiter(), newMeter()
	for i, l := range cfg.Lanes {
		l.number = i
		f.lanes = append(f.lanes, newLane(l, &cfg, limit, flows))
	}
	return f, nil
}

// Run forwards until ctx ends, then returns nil; or until a lane fails, then
// returns its error (which wraps tun.ErrDeviceGone when the device was
// deleted). When it returns, all lanes have ended and are closed, so a
// forwarder runs once.
func (f *Forwarder) Run(ctx context.Context) error {
	if f.started.Swap(true) {
		return errors.New("route: a forwarder runs only once")
	}
	ended := make(chan error)
	for i, l := range f.lanes {
		go func() { ended <- f.runLane(i, l) }()
	}
	f.log.Debug("forwarding", "lanes", len(f.lanes))
	return f.await(ctx, ended)
}

// await closes the lanes once ctx or a lane ends, waits for all lanes, and
// returns the error of the first.
func (f *Forwarder) await(ctx context.Context, ended <-chan error) error {
	var failure error
	stop := ctx.Done()
	reading := time.NewTicker(overflowReading)
	defer reading.Stop()
	for running := len(f.lanes); running > 0; {
		select {
		case <-reading.C:
			for _, l := range f.lanes {
				l.countOverflows()
			}
			continue
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

// close makes the lanes end. Nothing is read, sent or written any more.
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

// runLane runs a lane on an operating system thread of its own, which ends with
// it, under a name that profiles show.
func (f *Forwarder) runLane(i int, l *lane) (err error) {
	runtime.LockOSThread()
	if f.onThread != nil {
		f.onThread(i)
	}
	labels := pprof.Labels("lane", fmt.Sprint(i))
	pprof.Do(context.Background(), labels, func(context.Context) { err = l.run() })
	return fmt.Errorf("route: lane %d: %w", i, err)
}

// Stats returns what was done so far. It may be called at any time from any
// goroutine; the numbers are at most one batch old.
func (f *Forwarder) Stats() Counters {
	c := Counters{Egress: newDirection(egressReasons), Ingress: newDirection(ingressReasons)}
	for _, l := range f.lanes {
		l.egress.counters.addTo(&c.Egress)
		l.ingress.counters.addTo(&c.Ingress)
		for _, from := range []*counters{&l.egress.counters, &l.ingress.counters} {
			c.Answers.Sent += from.answered.Load()
			c.Answers.Suppressed += from.suppressed.Load()
			c.Answers.Failed += from.unanswered.Load()
		}
		c.Ingress.add(ReceiveOverflow, l.countOverflows())
	}
	return c
}

// add counts drops that no lane has seen.
func (d *Direction) add(r Reason, n uint64) {
	for i := range d.Drops {
		if d.Drops[i].Reason == r {
			d.Drops[i].Packets += n
		}
	}
}
