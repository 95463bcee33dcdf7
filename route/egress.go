// SPDX-License-Identifier: Apache-2.0

package route

import (
	"log/slog"
	"net/netip"
	"time"

	"flanneld/encap"
	"flanneld/internal/packet"
	"flanneld/tun"
)

// egress is the way from the overlay to the underlay. Everything in it belongs
// to the lane's goroutine, but for counters, which any goroutine may load.
type egress struct {
	queue Queue
	conn  Conn
	table *Table
	lease netip.Prefix
	limit *icmpLimiter
	meter *meter
	taken func([]byte) bool // Config.Answers
	log   *slog.Logger
	clock func() time.Time

	batch     *tun.Batch
	out       outbox // what the batch becomes
	again     outbox // what was too long for its path, cut to fit
	responder icmpResponder
	sources   int // how many the Conn has, a power of two
	load      load
	work      work

	// Of the current batch:
	routes *snapshot
	now    time.Time
	tick   int64 // the meter's time
	tally  tally
	err    error // of the socket or the queue: the lane ends after this batch

	counters counters
}

func newEgress(lane Lane, cfg *Config, limit *icmpLimiter, flows *meter) *egress {
	e := &egress{
		queue:     lane.Queue,
		conn:      lane.Conn,
		table:     cfg.Table,
		lease:     cfg.Lease,
		limit:     limit,
		meter:     flows,
		taken:     cfg.Answers,
		sources:   lane.Conn.Sources(),
		log:       cfg.Logger,
		clock:     time.Now,
		batch:     tun.NewBatch(egressBatch, packet.MaxLen, egressSlab),
		responder: newICMPResponder(cfg.Lease, cfg.MTU),
	}
	e.out = newOutbox(batchSize, newSealer(cfg.Sealing, lane.number, batchSize, &e.tally))
	e.again = newOutbox(batchSize, newSealer(cfg.Sealing, lane.number, batchSize, &e.tally))
	return e
}

// step forwards one batch, if there is one: read many, decide one by one, send
// many. It returns how many packets there were.
func (e *egress) step() (int, error) {
	n, err := e.queue.Read(e.batch)
	if n == 0 {
		return 0, err
	}
	e.routes = e.table.load()
	e.now = e.clock()
	e.tick = e.meter.tick(e.now)
	e.out.segments = e.conn.MaxSegments()
	e.out.sealer.at(e.now)
	e.again.sealer.at(e.now)
	for i := range n {
		e.forward(&e.batch.Packets[i])
	}
	e.flush()
	e.work.add(e.tally.commit(&e.counters))
	return n, e.err
}

// forward decides about one packet or superpacket and carries the decision out.
// It may rewrite the packet.
func (e *egress) forward(b *tun.Packet) {
	if b.SegmentSize > 0 {
		e.forwardSuperpacket(b)
		return
	}
	p, hop, reason := e.decide(b.Data)
	if reason != Forwarded {
		e.refuse(p, reason, 0)
		return
	}
	limit := hop.Peer.limit(e.now)
	if len(p) > limit && p.DontFragment() {
		e.refuse(p, NeedsFragmentation, limit)
		return
	}
	from := e.sourcePort(p, 1)
	p.DecrementTTL()
	if len(p) > limit {
		e.fragment(&e.out, hop, from, p.Header(), p.Payload(), limit)
		return
	}
	e.makeRoom(&e.out)
	e.out.addPacket(hop, from, p)
}

// forwardSuperpacket does with all segments of a superpacket what forward does
// with a packet. They share one decision, and one answer.
func (e *egress) forwardSuperpacket(b *tun.Packet) {
	segments, ok := tun.NewSegmenter(*b)
	if !ok {
		e.tally.drop(BadLength)
		return
	}
	p, hop, reason := e.decide(b.Data)
	if reason != Forwarded {
		e.tally.dropMany(reason, segments.Segments()-1)
		e.refuse(p, reason, 0)
		return
	}
	limit := hop.Peer.limit(e.now)
	longest := min(len(p), segments.HeaderLen()+b.SegmentSize)
	if longest > limit && p.DontFragment() {
		e.tally.dropMany(NeedsFragmentation, segments.Segments()-1)
		e.refuse(p, NeedsFragmentation, limit)
		return
	}
	from := e.sourcePort(p, segments.Segments())
	if !from.express {
		e.load.bytes += len(p)
	}
	p.DecrementTTL()
	segments, _ = tun.NewSegmenter(*b) // of the changed header
	for {
		e.makeRoom(&e.out)
		header, payload, ok := segments.Next(e.out.header())
		if !ok {
			return
		}
		if len(header)+len(payload) > limit {
			e.joinAndFragment(&e.out, hop, from, header, payload, limit)
			continue
		}
		e.out.addPieces(hop, from, header, payload)
	}
}

// sourcePort selects the source port of a packet or superpacket of so many
// segments. A flow keeps its port as long as it stays sparse or bulk.
func (e *egress) sourcePort(p packet.Packet, segments int) sourcePort {
	flow := p.Flow()
	bulk := e.meter.count(flow, len(p), e.tick)
	if bulk {
		e.load.packets++
		e.work.bulk += segments
	}
	return sourcePort{source: flow & (e.sources - 1), express: !bulk}
}

// decide finds a packet's next hop, or the reason to drop it. It changes
// nothing. The packet is nil if it is not one.
func (e *egress) decide(b []byte) (packet.Packet, *NextHop, Reason) {
	p, err := packet.Parse(b)
	switch {
	case err != nil:
		return nil, nil, reasonOf(err)
	case !e.lease.Contains(p.Source()):
		return p, nil, ForeignSource
	case p.Multicast():
		return p, nil, Multicast
	}
	hop := e.routes.lookup(p.Destination())
	switch {
	case hop == nil:
		return p, nil, NoRoute
	case hop.Kind == Local:
		return p, hop, OwnLease
	case hop.Kind == Unreachable:
		return p, hop, PeerUnreachable
	case p.TTL() <= 1:
		return p, hop, TTLExpired
	}
	return p, hop, Forwarded
}

// refuse drops a packet, and answers it with an ICMP error if the reason calls
// for one.
func (e *egress) refuse(p packet.Packet, reason Reason, mtu int) {
	if reason == NoRoute && e.taken != nil && p.Protocol() == packet.ICMP && e.taken(p) {
		return
	}
	e.tally.drop(reason)
	kind := answers[reason]
	if kind.typ == 0 || !e.responder.mayAnswer(p) {
		return
	}
	if !e.limit.allow(reason, e.now) {
		e.tally.suppressed++
		return
	}
	if err := e.queue.Write(e.responder.answer(p, kind, mtu)); err != nil {
		e.tally.unanswered++ // the next Read tells what is wrong with the queue
		return
	}
	e.tally.answered++
}

// makeRoom sends the content of o if there is no room for one more. That
// happens only when fragmentation has made a batch larger.
func (e *egress) makeRoom(o *outbox) {
	if o.full() {
		e.empty(o)
	}
}

// empty sends the content of o. It writes to the other outbox only, so that a
// header in memory from o.header stays unchanged.
func (e *egress) empty(o *outbox) {
	if o == &e.again {
		e.flushAgain()
	} else {
		e.flush()
	}
}

// flush sends the content of the outbox. A packet that turns out to be too long
// for its path is fragmented, or refused, and the fragments are sent as well.
func (e *egress) flush() {
	e.send(&e.out)
	for i := range e.out.pending() {
		e.finish(i)
	}
	e.flushAgain()
	e.out.reset()
}

// send gives an outbox to the kernel.
func (e *egress) send(o *outbox) {
	if o.n == 0 {
		return
	}
	if _, err := e.conn.Send(o.pending()); err != nil {
		e.err = err
	}
}

// finish counts message i of the outbox, or shortens it if it was too long.
func (e *egress) finish(i int) {
	if e.out.messages[i].Err == encap.ErrTooLong {
		e.shorten(i)
		return
	}
	e.count(&e.out, i)
}

// count counts the outcome of message i. If the kernel refuses a packet,
// because it has no underlay route or by a firewall rule, the sender is told.
func (e *egress) count(o *outbox, i int) {
	t, m := &o.trains[i], &o.messages[i]
	switch {
	case m.Err == nil:
		e.tally.carried(&t.hop.Peer.egress, t.packets, t.bytes)
	case m.Lost > 0: // the kernel took the others
		e.tally.dropMany(SendFailed, m.Lost)
		sent := t.packets - m.Lost
		e.tally.carried(&t.hop.Peer.egress, sent, t.bytes/t.packets*sent)
	case m.Err == encap.ErrBufferFull:
		e.tally.dropMany(SendBufferFull, t.packets)
	default:
		for j := range t.packets {
			e.fail(t.at(j))
		}
	}
}

// fail counts a packet that could not be sent. An answer could quote nothing of
// a later fragment.
func (e *egress) fail(header packet.Packet, _ []byte, whole bool) {
	if whole || len(header) > header.HeaderLen() {
		e.refuse(header, SendFailed, 0)
		return
	}
	e.tally.drop(SendFailed)
}
