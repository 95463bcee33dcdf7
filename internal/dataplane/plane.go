// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"

	"flanneld/encap"
	"flanneld/internal/host/link"
	"flanneld/internal/packet"
	"flanneld/internal/poll"
	"flanneld/internal/seal"
	"flanneld/route"
	"flanneld/tun"
)

// ErrNoQueue is returned by Inject where the device has no queue.
var ErrNoQueue = errors.New("the device has no queue")

// Config says which plane to open.
type Config struct {
	Settings
	Lease  netip.Prefix
	Link   link.Config // the device, with its network and MTU
	Routes *Routes
	Sealer *Sealer // nil: packets travel in the clear

	// Listen returns the data sockets. The plane closes them, unless Open fails
	// before it has called Listen.
	Listen func() (Sockets, error)
}

// Plane carries packets between the overlay device and the data sockets.
type Plane struct {
	cfg       Config
	device    *tun.Device
	sockets   Sockets
	forwarder *route.Forwarder
	threads   []atomic.Int32           // IDs of the lanes' threads; 0: not started
	answers   func(packet []byte) bool // nil: not started
	cancel    context.CancelFunc
	done      chan error // what the forwarder returned, once
}

// Open opens device and sockets, and sets the device up. It forwards nothing
// yet; see Start. On failure nothing is left open, and a device that it made is
// gone again.
func Open(cfg Config) (_ *Plane, err error) {
	if cfg.Sealed != (cfg.Sealer != nil) {
		return nil, errors.New("a sealed network needs sessions, and any other has none")
	}
	if _, err := link.Owned(cfg.Link.Name); err != nil {
		return nil, err
	}
	p := &Plane{cfg: cfg, cancel: func() {}, done: make(chan error, 1)}
	if p.device, err = tun.Open(cfg.device(cfg.Link.Name, cfg.Link.Alias)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.device.Close())
			if p.device.Created() {
				err = errors.Join(err, link.Remove(cfg.Link.Name))
			}
		}
	}()
	changes, err := link.Ensure(cfg.Link)
	if err != nil {
		return nil, err
	}
	if p.sockets, err = cfg.Listen(); err != nil {
		return nil, err
	}
	p.threads = make([]atomic.Int32, len(p.sockets))
	if p.forwarder, err = p.newForwarder(); err != nil {
		p.sockets.Close()
		return nil, err
	}
	cfg.Log.Info("forwarding", "device", cfg.Link.Name, "lease", cfg.Lease, "mtu", cfg.Link.MTU, "lanes", cfg.Lanes,
		"created", p.device.Created(), "changes", len(changes))
	return p, nil
}

func (p *Plane) newForwarder() (*route.Forwarder, error) {
	return route.NewForwarder(route.Config{
		Answers: func(packet []byte) bool { return p.answers(packet) },
		Lanes:   p.lanes(), Table: &p.cfg.Routes.table, Lease: p.cfg.Lease, MTU: p.cfg.Link.MTU, Logger: p.cfg.Log,
		Sealing:  p.sealing(),
		OnThread: p.onThread, SetPriority: p.cfg.setPriority(), CPUTime: cpuTime,
	})
}

// sealing is how the lanes seal, nil where they do not.
func (p *Plane) sealing() *route.Sealing {
	s := p.cfg.Sealer
	if s == nil {
		return nil
	}
	return &route.Sealing{
		Node: s.node, Handshake: s.Handshake, Sighted: s.Sighted,
		Send: func(to *route.Peer, packet []byte) bool { return s.send(to, packet) == nil },
	}
}

// lanes joins queue i with socket i, each with its role: the device was opened
// with as many queues as there are sockets.
func (p *Plane) lanes() []route.Lane {
	lanes := make([]route.Lane, len(p.sockets))
	for i, queue := range p.device.Queues() {
		conn := p.sockets[i]
		lanes[i] = route.Lane{
			Queue: queue, Conn: conn, Waiter: poll.NewWaiter(queue.Descriptor(), conn.Descriptor()), Express: conn.Express(),
		}
	}
	return lanes
}

// Start begins to forward. answers reports whether an ICMP message or a TCP
// reset for the device's own address answers one of this host's probes; it is
// called from the lanes.
func (p *Plane) Start(answers func(packet []byte) bool) {
	p.answers = answers
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	if p.cfg.Sealer != nil {
		p.cfg.Sealer.Use(p)
	}
	go func() {
		p.done <- p.forwarder.Run(ctx)
		close(p.done)
	}()
}

// Done yields why forwarding ended, nil when Close ended it.
func (p *Plane) Done() <-chan error { return p.done }

// Close stops forwarding. The device stays on the host.
func (p *Plane) Close() {
	if p.cfg.Sealer != nil {
		p.cfg.Sealer.Use(nil)
	}
	p.cancel()
	if p.answers == nil {
		p.sockets.Close()
	} else {
		for range p.done { // closed when the lanes have ended, which own the sockets
		}
	}
	_ = p.device.Close()
}

// Lease is the lease that the plane carries packets of.
func (p *Plane) Lease() netip.Prefix { return p.cfg.Lease }

// Network is the overlay network.
func (p *Plane) Network() netip.Prefix { return p.cfg.Link.Network }

// Link is the device as it was set up.
func (p *Plane) Link() link.Config { return p.cfg.Link }

// Stats counts what was forwarded so far.
func (p *Plane) Stats() route.Counters { return p.forwarder.Stats() }

// Inject gives this host's kernel a packet, as if a peer had sent it.
func (p *Plane) Inject(packet []byte) error {
	queues := p.device.Queues()
	if len(queues) == 0 {
		return ErrNoQueue
	}
	err := queues[0].Write(packet)
	if errors.Is(err, tun.ErrDeviceDown) || errors.Is(err, tun.ErrDeviceGone) {
		return nil // it is repaired, or made again
	}
	return err
}

// Send sends a packet to an endpoint, by the express lane's socket. Where it is
// too long for the path, fits is the largest size that is not, in bytes; 0: not
// known.
//
// In a sealed network the packet goes to the peer that its destination belongs
// to, sealed.
func (p *Plane) Send(to netip.AddrPort, packet []byte) (fits int, err error) {
	conn, more := p.express(), 0
	if p.cfg.Sealer != nil {
		more = seal.Overhead
		to, err = p.sendSealed(packet)
	} else {
		err = conn.SendOne(to, packet)
	}
	if errors.Is(err, encap.ErrTooLong) {
		if mtu, unknown := conn.PathMTU(to.Addr()); unknown == nil {
			fits = encap.Payload(mtu, to.Addr()) - more
		}
	}
	return fits, err
}

// sendSealed returns where the packet goes.
func (p *Plane) sendSealed(b []byte) (to netip.AddrPort, err error) {
	inner, err := packet.Parse(b)
	if err != nil {
		return to, err
	}
	hop, ok := p.cfg.Routes.table.Lookup(inner.Destination())
	if !ok || hop.Peer == nil {
		return to, errNoRoute
	}
	return hop.Endpoint, p.cfg.Sealer.send(hop.Peer, b)
}

// errNoRoute is returned for a packet of this program that has no destination.
var errNoRoute = errors.New("no peer has the destination")

// express is the socket of the express lane.
func (p *Plane) express() *encap.Conn {
	for _, conn := range p.sockets {
		if conn.Express() {
			return conn
		}
	}
	return p.sockets[len(p.sockets)-1] // where the system has no express lane
}
