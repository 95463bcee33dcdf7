package route

import (
	"errors"
	"io/fs"
	"net/netip"

	"flanneld/encap"
	"flanneld/tun"
)

// ingress is the loop from the underlay to the overlay. Everything in it belongs
// to the loop's goroutine, but for counters, which anybody may load.
type ingress struct {
	queue Queue
	conn  Conn
	table *Table
	lease netip.Prefix

	messages []encap.Message // each of one buffer, as long as the device's MTU

	// Of the current batch:
	routes *snapshot
	tally  tally
	err    error // of the queue: the loop ends after this batch

	counters counters
}

func newIngress(lane Lane, cfg *Config) *ingress {
	return &ingress{
		queue:    lane.Queue,
		conn:     lane.Conn,
		table:    cfg.Table,
		lease:    cfg.Lease,
		messages: encap.NewMessages(batchSize, cfg.MTU),
	}
}

// run accepts batches until the queue or the socket fails or is closed.
func (g *ingress) run() error {
	for {
		if err := g.step(); err != nil {
			return err
		}
	}
}

// step accepts one batch: receive many, admit and write one by one.
func (g *ingress) step() error {
	n, err := g.conn.Receive(g.messages)
	if err != nil {
		return err
	}
	g.routes = g.table.load()
	for i := range g.messages[:n] {
		g.accept(&g.messages[i])
	}
	g.tally.commit(&g.counters)
	return g.err
}

// accept decides about one datagram and carries the decision out. Nothing is
// ever answered to the underlay.
func (g *ingress) accept(m *encap.Message) {
	p, hop, reason := g.admit(m)
	if reason == Forwarded {
		reason = g.write(p)
	}
	if reason != Forwarded {
		g.tally.drop(reason)
		return
	}
	g.tally.carried(&hop.Peer.ingress, len(p))
}

// admit decides whether the packet in a datagram may enter the overlay. It
// returns the route back to its source.
//
// The outer source must be a peer, and the inner source in that peer's lease.
// Both follow from one lookup of the inner source: the peer whose lease it is in
// must have the outer source for its address. (Its port does not matter; senders
// may vary it to spread their flows.) Several peers may so share an address.
func (g *ingress) admit(m *encap.Message) (packet, *NextHop, Reason) {
	if m.Truncated {
		return nil, nil, TooLarge
	}
	p, reason := parse(m.Buffers[0][:m.N])
	if reason != Forwarded {
		return nil, nil, reason
	}
	outer := m.Addr.Addr()
	hop := g.routes.lookup(p.source())
	switch {
	case hop != nil && hop.Peer != nil && hop.Endpoint.Addr() == outer:
	case g.routes.knows(outer):
		return p, nil, ForeignSource
	default:
		return p, nil, UnknownSender
	}
	if !g.lease.Contains(p.destination()) {
		return p, nil, ForeignDestination
	}
	return p, hop, Forwarded
}

// write hands a packet to the kernel. An error that will not pass ends the loop.
func (g *ingress) write(p packet) Reason {
	err := g.queue.Write(p)
	switch {
	case err == nil:
		return Forwarded
	case err == tun.ErrDeviceDown:
		return DeviceDown
	case err == tun.ErrDeviceGone, errors.Is(err, fs.ErrClosed):
		g.err = err
	}
	return WriteFailed
}
