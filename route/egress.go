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
// to the lane's goroutine, but for counters, which anybody may load.
type egress struct {
	queue Queue
	conn  Conn
	table *Table
	lease netip.Prefix
	limit *answerLimit
	meter *meter
	taken func([]byte) bool // Config.Answers
	log   *slog.Logger
	clock func() time.Time

	batch    *tun.Batch
	out      outbox // what the batch becomes
	again    outbox // what was too long for its path, cut to fit
	answerer answerer
	sources  int // how many the Conn has, a power of two
	load     load
	work     work

	// Of the current batch:
	routes *snapshot
	now    time.Time
	tick   int64 // the meter's time
	tally  tally
	err    error // of the socket or the queue: the lane ends after this batch

	counters counters
}

func newEgress(lane Lane, cfg *Config, limit *answerLimit, flows *meter) *egress {
	return &egress{
		queue:    lane.Queue,
		conn:     lane.Conn,
		table:    cfg.Table,
		lease:    cfg.Lease,
		limit:    limit,
		meter:    flows,
		taken:    cfg.Answers,
		sources:  lane.Conn.Sources(),
		log:      cfg.Logger,
		clock:    time.Now,
		batch:    tun.NewBatch(egressBatch, packet.MaxLen, egressSlab),
		out:      newOutbox(batchSize),
		again:    newOutbox(batchSize),
		answerer: newAnswerer(cfg.Lease, cfg.MTU),
	}
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
	from := e.exit(p, 1)
	p.DecrementTTL()
	if len(p) > limit {
		e.fragment(&e.out, hop, from, p.Header(), p.Payload(), limit)
		return
	}
	e.makeRoom(&e.out)
	e.out.addPacket(hop, from, p)
}

// forwardSuperpacket does with all segments of a superpacket what forward does
// with a packet. They have one decision in common, and one answer.
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
	from := e.exit(p, segments.Segments())
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

// exit chooses where a packet or superpacket of so many segments leaves. All of
// a flow leaves from one source, as long as it stays sparse or bulk.
func (e *egress) exit(p packet.Packet, segments int) exit {
	flow := p.Flow()
	bulk := e.meter.count(flow, len(p), e.tick)
	if bulk {
		e.load.packets++
		e.work.bulk += segments
	}
	return exit{source: flow & (e.sources - 1), express: !bulk}
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

// refuse drops a packet and tells its sender, where that is called for.
func (e *egress) refuse(p packet.Packet, reason Reason, mtu int) {
	if reason == NoRoute && e.taken != nil && p.Protocol() == packet.ICMP && e.taken(p) {
		return
	}
	e.tally.drop(reason)
	kind := answers[reason]
	if kind.typ == 0 || !e.answerer.mayAnswer(p) {
		return
	}
	if !e.limit.allow(reason, e.now) {
		e.tally.suppressed++
		return
	}
	if err := e.queue.Write(e.answerer.answer(p, kind, mtu)); err != nil {
		e.tally.unanswered++ // the next Read tells what is wrong with the queue
		return
	}
	e.tally.answered++
}

// fragment cuts a packet for the path to hop and puts the pieces into o.
func (e *egress) fragment(o *outbox, hop *NextHop, from exit, header packet.Packet, payload []byte, limit int) {
	f := packet.NewFragmenter(header, payload, limit)
	for {
		e.makeRoom(o)
		header, payload, ok := f.Next((*[packet.MaxHeaderLen]byte)(o.header()))
		if !ok {
			return
		}
		o.addPieces(hop, from, header, payload)
	}
}

// joinAndFragment cuts a packet in two pieces whose header goes on into that of
// TCP or UDP, so that a fragment may end within it.
func (e *egress) joinAndFragment(o *outbox, hop *NextHop, from exit, header packet.Packet, payload []byte, limit int) {
	if !o.joins(len(header) + len(payload)) {
		e.empty(o)
		o.joined = 0 // nothing points into it
	}
	p := o.join(header, payload)
	e.fragment(o, hop, from, p.Header(), p.Payload(), limit)
}

// makeRoom sends what is in o if there is no room for one more. That happens
// only when fragments made more of a batch than it was.
func (e *egress) makeRoom(o *outbox) {
	if o.full() {
		e.empty(o)
	}
}

// empty sends what is in o. It writes to the other outbox only, so that a header
// in memory that o.header gave stays as it is.
func (e *egress) empty(o *outbox) {
	if o == &e.again {
		e.flushAgain()
	} else {
		e.flush()
	}
}

// flush sends what is in the outbox. What turns out to be too long for its path
// is cut, or refused, and what was cut is sent as well.
func (e *egress) flush() {
	e.send(&e.out)
	for i := range e.out.pending() {
		e.settle(i)
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

// settle counts message i of the outbox, or deals with it in another way if it
// was too long.
func (e *egress) settle(i int) {
	if e.out.messages[i].Err == encap.ErrTooLong {
		e.shorten(i)
		return
	}
	e.count(&e.out, i)
}

// count counts what became of message i. Of a packet that the kernel refuses,
// for want of an underlay route or by a firewall rule, the sender is told.
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

// fail counts a packet that could not be sent. Of a fragment there is nothing to
// quote.
func (e *egress) fail(header packet.Packet, _ []byte, whole bool) {
	if whole || len(header) > header.HeaderLen() {
		e.refuse(header, SendFailed, 0)
		return
	}
	e.tally.drop(SendFailed)
}

// shorten does with the packets of message i what forward would have done, had
// it known the path MTU. If the kernel's path MTU does not explain why the
// message was too long, a packet is dropped, and a train is taken apart.
//
// Of a train that went datagram by datagram some are on their way.
func (e *egress) shorten(i int) {
	t, m := &e.out.trains[i], &e.out.messages[i]
	apart := m.Lost > 0
	limit := t.hop.Peer.limit(e.now)
	if t.size <= limit {
		limit = e.learnPathMTU(t.hop, t.size)
	}
	if t.size <= limit && (apart || t.packets == 1) {
		e.count(&e.out, i)
		return
	}
	for j := range t.packets {
		if apart && m.Missing>>j&1 == 0 {
			e.tally.carried(&t.hop.Peer.egress, 1, t.length(j))
			continue
		}
		e.resend(t, j, limit)
	}
}

// resend sends packet j of a train anew, in a way that fits limit.
func (e *egress) resend(t *train, j, limit int) {
	header, payload, whole := t.at(j)
	switch {
	case t.length(j) <= limit:
		e.makeRoom(&e.again)
		e.again.add(t.hop, t.exit, packet.Packet(t.buffers[2*j]), t.buffers[2*j+1])
	case header.DontFragment(): // so it was not cut: header begins the whole packet
		e.refuse(header, NeedsFragmentation, limit)
	case whole || len(header) == header.HeaderLen():
		e.fragment(&e.again, t.hop, t.exit, header, payload, limit)
	default: // the header goes on into that of TCP or UDP
		e.joinAndFragment(&e.again, t.hop, t.exit, header, payload, limit)
	}
}

// learnPathMTU asks the kernel for the path MTU to hop, after it refused a packet
// of this size, and remembers it. It returns the length of the longest packet to
// send there from now on.
func (e *egress) learnPathMTU(hop *NextHop, size int) int {
	mtu, err := e.conn.PathMTU(hop.Endpoint.Addr())
	if err != nil || mtu-hop.Peer.Overhead() >= size {
		return packet.MaxLen // that is not why
	}
	limit, changed := hop.Peer.learnPathMTU(mtu, e.now)
	if changed {
		e.log.Info("learned a path MTU", "peer", hop.Peer.Name(), "endpoint", hop.Endpoint, "packet", limit)
	}
	return limit
}

// flushAgain sends the second outbox. Who is still too long is dropped: the path
// changed twice within a batch.
func (e *egress) flushAgain() {
	e.send(&e.again)
	for i := range e.again.pending() {
		e.count(&e.again, i)
	}
	e.again.reset()
}
