// SPDX-License-Identifier: Apache-2.0

package route

import "flanneld/internal/packet"

// This file handles packets that are longer than the path to their peer takes.
// The overlay packet is fragmented, never the outer datagram: otherwise one
// lost fragment costs the whole packet unseen, and many networks drop outer
// fragments.

// fragment cuts a packet for the path to hop and puts the pieces into o.
func (e *egress) fragment(o *outbox, hop *NextHop, from sourcePort, header packet.Packet, payload []byte, limit int) {
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

// joinAndFragment cuts a packet that comes in two pieces. Its header continues
// into the one of TCP or UDP, so a fragment may end within that.
func (e *egress) joinAndFragment(o *outbox, hop *NextHop, from sourcePort, header packet.Packet, payload []byte, limit int) {
	if !o.joins(len(header) + len(payload)) {
		e.empty(o)
		o.joined = 0 // nothing points into it
	}
	p := o.join(header, payload)
	e.fragment(o, hop, from, p.Header(), p.Payload(), limit)
}

// shorten does with the packets of message i what forward would have done with
// the known path MTU. If the kernel's path MTU does not explain why the message
// was too long, a packet is dropped, and a train is taken apart.
//
// Some packets of a train that went datagram by datagram are on their way.
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
		e.again.add(t.hop, t.from, packet.Packet(t.buffers[2*j]), t.buffers[2*j+1])
	case header.DontFragment(): // so it was not cut: header begins the whole packet
		e.refuse(header, NeedsFragmentation, limit)
	case whole || len(header) == header.HeaderLen():
		e.fragment(&e.again, t.hop, t.from, header, payload, limit)
	default: // the header goes on into that of TCP or UDP
		e.joinAndFragment(&e.again, t.hop, t.from, header, payload, limit)
	}
}

// learnPathMTU asks the kernel for the path MTU to hop, after it refused a
// packet of this size, and remembers it. It returns the length of the longest
// packet to send there from now on.
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

// flushAgain sends the second outbox. It drops a packet that is still too long:
// the path changed twice within a batch.
func (e *egress) flushAgain() {
	e.send(&e.again)
	for i := range e.again.pending() {
		e.count(&e.again, i)
	}
	e.again.reset()
}
