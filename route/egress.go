package route

import (
	"log/slog"
	"net/netip"
	"time"

	"flanneld/encap"
	"flanneld/tun"
)

// egress is the loop from the overlay to the underlay. Everything in it belongs
// to the loop's goroutine, but for counters, which anybody may load.
type egress struct {
	queue Queue
	conn  Conn
	table *Table
	lease netip.Prefix
	limit *answerLimit
	log   *slog.Logger
	clock func() time.Time

	batch    *tun.Batch
	out      outbox // what the batch becomes
	again    outbox // what was too long for its path, cut to fit
	answerer answerer

	// Of the current batch:
	routes *snapshot
	now    time.Time
	tally  tally
	err    error // of the socket or the queue: the loop ends after this batch

	counters counters
}

func newEgress(lane Lane, cfg *Config, limit *answerLimit) *egress {
	return &egress{
		queue:    lane.Queue,
		conn:     lane.Conn,
		table:    cfg.Table,
		lease:    cfg.Lease,
		limit:    limit,
		log:      cfg.Logger,
		clock:    time.Now,
		batch:    tun.NewBatch(batchSize, cfg.MTU),
		out:      newOutbox(batchSize),
		again:    newOutbox(batchSize),
		answerer: newAnswerer(cfg.Lease, cfg.MTU),
	}
}

// run forwards batches until the queue or the socket fails or is closed.
func (e *egress) run() error {
	for {
		if err := e.step(); err != nil {
			return err
		}
	}
}

// step forwards one batch: read many, decide one by one, send many.
func (e *egress) step() error {
	n, err := e.queue.Read(e.batch)
	if err != nil {
		return err
	}
	e.routes = e.table.load()
	e.now = e.clock()
	for i := range n {
		e.forward(e.batch.Packets[i].Data)
	}
	e.flush()
	e.tally.commit(&e.counters)
	return e.err
}

// forward decides about one packet and carries the decision out. It may rewrite
// the packet.
func (e *egress) forward(b []byte) {
	p, hop, reason := e.decide(b)
	if reason != Forwarded {
		e.refuse(p, reason, 0)
		return
	}
	limit := hop.Peer.limit(e.now)
	if len(p) > limit && p.dontFragment() {
		e.refuse(p, NeedsFragmentation, limit)
		return
	}
	p.decrementTTL()
	if len(p) > limit {
		e.fragment(&e.out, hop, p.header(), p.payload(), limit)
		return
	}
	e.makeRoom(&e.out)
	e.out.addPacket(hop, p)
}

// decide finds a packet's next hop, or the reason to drop it. It changes
// nothing. The packet is nil if it is not one.
func (e *egress) decide(b []byte) (packet, *NextHop, Reason) {
	p, reason := parse(b)
	switch {
	case reason != Forwarded:
		return nil, nil, reason
	case !e.lease.Contains(p.source()):
		return p, nil, ForeignSource
	case p.multicast():
		return p, nil, Multicast
	}
	hop := e.routes.lookup(p.destination())
	switch {
	case hop == nil:
		return p, nil, NoRoute
	case hop.Kind == Local:
		return p, hop, OwnLease
	case hop.Kind == Unreachable:
		return p, hop, PeerUnreachable
	case p.ttl() <= 1:
		return p, hop, TTLExpired
	}
	return p, hop, Forwarded
}

// refuse drops a packet and tells its sender, where that is called for.
func (e *egress) refuse(p packet, reason Reason, mtu int) {
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
func (e *egress) fragment(o *outbox, hop *NextHop, header packet, payload []byte, limit int) {
	f := fragments(header, payload, limit)
	for {
		e.makeRoom(o)
		header, payload, ok := f.next(o.header())
		if !ok {
			return
		}
		o.addFragment(hop, header, payload)
	}
}

// makeRoom sends what is in o if there is no room for one more. That happens
// only when fragments made more of a batch than it was.
func (e *egress) makeRoom(o *outbox) {
	switch {
	case !o.full():
	case o == &e.again:
		e.flushAgain()
	default:
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
	header, payload := o.at(i)
	switch err := o.messages[i].Err; {
	case err == nil:
		e.tally.carried(&o.hops[i].Peer.egress, header.headerLen()+len(payload))
	case err == encap.ErrBufferFull:
		e.tally.drop(SendBufferFull)
	case o.whole(i):
		e.refuse(header, SendFailed, 0)
	default: // there is nothing to quote
		e.tally.drop(SendFailed)
	}
}

// shorten does with message i what forward would have done, had it known the
// path MTU. If the kernel's path MTU does not explain why the message was too
// long, it is dropped.
func (e *egress) shorten(i int) {
	hop := e.out.hops[i]
	header, payload := e.out.at(i)
	size := header.headerLen() + len(payload)
	limit := hop.Peer.limit(e.now)
	if size <= limit {
		limit = e.learnPathMTU(hop, size)
	}
	switch {
	case size <= limit:
		e.count(&e.out, i)
	case header.dontFragment(): // so it was not cut: header begins the whole packet
		e.refuse(header, NeedsFragmentation, limit)
	default:
		e.fragment(&e.again, hop, header, payload, limit)
	}
}

// learnPathMTU asks the kernel for the path MTU to hop, after it refused a packet
// of this size, and remembers it. It returns the length of the longest packet to
// send there from now on.
func (e *egress) learnPathMTU(hop *NextHop, size int) int {
	mtu, err := e.conn.PathMTU(hop.Endpoint.Addr())
	if err != nil || mtu-encap.Overhead >= size {
		return maxPacket // that is not why
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
