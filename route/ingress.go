// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"io/fs"
	"net/netip"
	"time"

	"flanneld/encap"
	"flanneld/internal/packet"
	"flanneld/internal/seal"
	"flanneld/tun"
)

// ingress is the way from the underlay to the overlay. Everything in it belongs
// to the lane's goroutine, but for counters, which any goroutine may load.
type ingress struct {
	queue Queue
	conn  Conn
	table *Table
	lease netip.Prefix
	mtu   int
	meter *meter
	taken func([]byte) bool // Config.Answers

	sealing *Sealing // Config.Sealing
	opened  [seal.MaxTrain]seal.Opened

	notice    notice          // about what is too large
	messages  []encap.Message // each of one buffer, as long as the longest train
	room      int             // how many messages the next batch may fill
	coalescer *tun.Coalescer  // of what was admitted; writes to this
	load      load
	work      work

	// Of the current batch:
	routes *snapshot
	now    time.Time
	tick   int64 // the meter's time
	last   admitted
	tally  tally
	err    error // of the queue: the lane ends after this batch

	counters counters
}

// admitted is the last packet that admit let in. The packets of a train mostly
// have the same addresses, so one lookup serves the whole train.
type admitted struct {
	inner packet.Addresses
	from  sender
	hop   *NextHop // nil: none yet
}

// sender is what a datagram's origin is known by: in a sealed network by its
// session, in any other by its address.
type sender struct {
	addr   netip.Addr
	sealed *seal.Peer
}

// holds reports whether the sender is the peer of a route, which may be nil.
func (s sender) holds(hop *NextHop) bool {
	switch {
	case hop == nil || hop.Peer == nil:
		return false
	case s.sealed != nil:
		return hop.Peer.sealed.Load() == s.sealed
	}
	return hop.Endpoint.Addr() == s.addr
}

func newIngress(lane Lane, cfg *Config, limit *icmpLimiter, flows *meter) *ingress {
	g := &ingress{
		queue:    lane.Queue,
		conn:     lane.Conn,
		table:    cfg.Table,
		lease:    cfg.Lease,
		mtu:      cfg.MTU,
		meter:    flows,
		taken:    cfg.Answers,
		sealing:  cfg.Sealing,
		notice:   newNotice(cfg, limit),
		messages: encap.NewMessages(ingressBatch, packet.MaxLen),
		room:     ingressBatch,
	}
	g.coalescer = tun.NewCoalescer(g)
	return g
}

// step accepts one batch, if there is one: receive many, admit one by one,
// write run by run. It returns how many messages there were.
func (g *ingress) step() (int, error) {
	n, err := g.conn.Receive(g.messages[:g.room])
	if n == 0 {
		return 0, err
	}
	g.room = ingressBatch
	g.routes = g.table.load()
	g.now = time.Now()
	g.tick = g.meter.tick(g.now)
	g.last = admitted{}
	g.coalescer.Use(g.queue.Offloads())
	for i := range g.messages[:n] {
		g.accept(&g.messages[i])
	}
	g.coalescer.Flush()
	g.work.add(g.tally.commit(&g.counters))
	return n, g.err
}

// accept decides about the datagrams of one message and gives the admitted
// packets to the coalescer. The underlay never gets an answer.
func (g *ingress) accept(m *encap.Message) {
	if m.Truncated {
		g.tally.drop(TooLarge)
		return
	}
	rest := m.Buffers[0][:m.N]
	size := len(rest)
	if m.SegmentSize > 0 {
		size = m.SegmentSize
		g.room = ingressTrains
	}
	if g.sealing != nil {
		g.acceptSealed(m, size)
		return
	}
	from := sender{addr: m.Addr.Addr()}
	for first := true; ; first = false {
		n := min(size, len(rest))
		g.take(rest[:n:n], from, m, first)
		if rest = rest[n:]; len(rest) == 0 {
			return
		}
	}
}

// take decides about the packet of one datagram, the first or a later one of a
// message.
func (g *ingress) take(datagram []byte, from sender, m *encap.Message, first bool) {
	switch p, reason := g.admit(datagram, from); {
	case reason != Forwarded:
		g.tally.drop(reason)
	case !p.DecapsulateECN(m.TOS):
		g.tally.drop(Congestion)
	case mayBeAnswer(p) && g.answers(p):
	default:
		if first {
			g.count(p, m)
		}
		g.coalescer.Add(p)
	}
}

// mayBeAnswer reports whether a packet is of a kind that answers packets of
// this program: ICMP, or a TCP reset. It is quick to say no.
func mayBeAnswer(p packet.Packet) bool {
	switch p.Protocol() {
	case packet.ICMP:
		return true
	case packet.TCP:
		const flags, reset = 13, 0x04
		tcp := p.Payload()
		return len(tcp) >= packet.TCPHeaderLen && tcp[flags]&reset != 0
	}
	return false
}

// answers reports whether an admitted packet is the answer to a packet of this
// program. It then does not enter the overlay. Of an answer in fragments, the
// first one tells.
func (g *ingress) answers(p packet.Packet) bool {
	return g.taken != nil && p.Destination() == g.lease.Addr() && !p.LaterFragment() && g.taken(p)
}

// count counts a message for the flow of its first packet: usually it has no
// other.
func (g *ingress) count(p packet.Packet, m *encap.Message) {
	if !g.meter.count(p.Flow(), m.N, g.tick) {
		return
	}
	g.load.packets++
	g.work.bulk += m.Datagrams(m.N)
	if m.SegmentSize > 0 {
		g.load.bytes += m.N
	}
}

// admit decides whether a sender's packet may enter the overlay.
func (g *ingress) admit(datagram []byte, from sender) (packet.Packet, Reason) {
	if len(datagram) > g.mtu {
		g.tooLarge(datagram, from)
		return nil, TooLarge
	}
	p, err := packet.Parse(datagram)
	if err != nil {
		return nil, reasonOf(err)
	}
	if g.last.hop != nil && g.last.inner == p.Addresses() && g.last.from == from {
		return p, Forwarded
	}
	hop, reason := g.vouch(p, from)
	if reason != Forwarded {
		return nil, reason
	}
	g.last = admitted{inner: p.Addresses(), from: from, hop: hop}
	return p, Forwarded
}

// vouch decides about a packet's addresses, and returns the route back to its
// source.
//
// The sender must be a peer, and the inner source in that peer's lease. One
// lookup of the inner source decides both: the sender must be the peer that
// holds its lease. In a plain network that peer must have the outer source as
// its address. (Its port does not matter; senders may vary it to spread their
// flows.) So several peers may share an address.
func (g *ingress) vouch(p packet.Packet, from sender) (*NextHop, Reason) {
	hop := g.routes.lookup(p.Source())
	switch {
	case from.holds(hop):
	case from.sealed != nil || g.routes.knows(from.addr):
		return nil, ForeignSource
	default:
		if hop != nil && hop.Peer != nil {
			hop.Peer.strayed(from.addr, g.now)
		}
		return nil, UnknownSender
	}
	if !g.lease.Contains(p.Destination()) {
		return nil, ForeignDestination
	}
	return hop, Forwarded
}

// WriteRun hands packets that were admitted to the kernel. An error that will
// not pass ends the lane.
func (g *ingress) WriteRun(r *tun.Run) {
	err := g.queue.WriteRun(r)
	switch {
	case err == nil:
		// Admitted, so there is such a peer.
		hop := g.routes.lookup(packet.Packet(r.Buffers[0]).Source())
		g.tally.carried(&hop.Peer.ingress, r.Packets, r.Bytes)
	case err == tun.ErrDeviceDown:
		g.tally.dropMany(DeviceDown, r.Packets)
	default:
		g.tally.dropMany(WriteFailed, r.Packets)
		if err == tun.ErrDeviceGone || errors.Is(err, fs.ErrClosed) {
			g.err = err
		}
	}
}
