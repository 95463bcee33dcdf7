// SPDX-License-Identifier: Apache-2.0

package route

import (
	"flanneld/encap"
	"flanneld/internal/packet"
)

const (
	// maxTrain is how many packets one message carries at most.
	maxTrain = encap.MaxSegments

	// headerRoom is the length of the longest header that add is given.
	headerRoom = packet.MaxHeadersLen

	// headerArena has room for the headers of four superpackets of the smallest
	// segments that are common, and then some.
	headerArena = 32 << 10

	// recentTrains is how far back add searches for a train that can continue.
	recentTrains = 8
)

// outbox collects the datagrams of one batch for one Send. All its memory is
// made once. It points to packets of the batch, to the contents of another
// outbox, to headers in its own arena, and to joined packets in its own memory.
// All of these must stay unchanged until the messages are sent. In a sealed
// network the messages point to sealed copies, and the trains to the packets.
//
// Packets for one peer with equal length and type of service form a train, one
// message, whatever their flows. A shorter packet ends it. Trains leave from
// one source port. Packets for one peer from one port stay in order, others
// need not.
type outbox struct {
	messages []encap.Message // the first n are in use
	trains   []train         // of each message
	n        int

	segments int // how many packets a train may have; 1: none are formed

	arena []byte
	used  int // of arena

	// Packets that were put together to be cut differently. The fragments in
	// messages point into it, so it belongs to this outbox alone.
	whole  []byte
	joined int // bytes of whole in use

	sealer *sealer // nil: packets leave as they are
}

// sourcePort is where a packet leaves.
type sourcePort struct {
	source  int
	express bool // from the express source, whichever number the other has
}

// train is the content of one message.
type train struct {
	hop     *NextHop
	from    sourcePort
	tos     byte // of all packets, inside and outside (RFC 6040, section 4.1)
	packets int
	size    int // length of each packet but the last
	bytes   int
	open    bool // may go on

	// Two for each packet: the packet and nil, or a header and a payload. In
	// pieces of the latter kind the header may go on into that of TCP or UDP.
	buffers [2 * maxTrain][]byte
}

// newOutbox makes an outbox for size messages. seals may be nil.
func newOutbox(size int, seals *sealer) outbox {
	return outbox{
		messages: make([]encap.Message, size),
		trains:   make([]train, size),
		segments: 1,
		arena:    make([]byte, headerArena),
		whole:    make([]byte, packet.MaxLen),
		sealer:   seals,
	}
}

// full reports whether there might be no room for one more packet.
func (o *outbox) full() bool {
	return o.n == len(o.messages) || o.used+headerRoom > len(o.arena) || o.sealer.full()
}

// pending are the messages added since the last reset.
func (o *outbox) pending() []encap.Message { return o.messages[:o.n] }

func (o *outbox) reset() {
	o.n, o.used = 0, 0
	o.sealer.reset()
}

// joins reports whether there is memory to join a packet of n bytes. reset
// frees none: it may come while a joined packet is being cut.
func (o *outbox) joins(n int) bool { return o.joined+n <= len(o.whole) }

// join copies the pieces of a packet into one. joins must have reported that
// there is room.
func (o *outbox) join(header packet.Packet, payload []byte) packet.Packet {
	at := o.joined
	o.joined += copy(o.whole[at:], header)
	o.joined += copy(o.whole[o.joined:], payload)
	return packet.Packet(o.whole[at:o.joined:o.joined])
}

// header is memory for the header of a packet that add will add.
func (o *outbox) header() []byte { return o.arena[o.used : o.used+headerRoom] }

// addPacket adds a whole packet. The outbox must not be full.
func (o *outbox) addPacket(hop *NextHop, from sourcePort, p packet.Packet) { o.add(hop, from, p, nil) }

// addPieces adds a packet in two pieces. Its header is in the memory that
// header gave. The outbox must not be full.
func (o *outbox) addPieces(hop *NextHop, from sourcePort, header packet.Packet, payload []byte) {
	o.used += len(header)
	o.add(hop, from, header, payload)
}

func (o *outbox) add(hop *NextHop, from sourcePort, header packet.Packet, payload []byte) {
	size := len(header) + len(payload)
	var sealed []byte
	if o.sealer != nil {
		if sealed = o.sealer.seal(hop.Peer, from, header, payload); sealed == nil {
			return
		}
	}
	i := o.find(hop, from, header.TOS(), size)
	if i < 0 {
		i = o.begin(hop, from, header.TOS(), size)
	}
	t, m := &o.trains[i], &o.messages[i]
	t.buffers[2*t.packets], t.buffers[2*t.packets+1] = header, payload
	t.packets++
	t.bytes += size
	t.open = size == t.size && t.packets < o.segments
	if sealed != nil {
		m.Buffers = o.sealer.add(i, sealed)
	} else {
		m.Buffers = t.buffers[:2*t.packets]
	}
	if t.packets > 1 {
		m.SegmentSize = t.size + o.sealer.overhead()
	}
}

// find returns the train that a packet of this size may join, or -1. Only the
// newest train to the same peer from the same port is possible. In an older
// one, the packet would overtake.
func (o *outbox) find(hop *NextHop, from sourcePort, tos byte, size int) int {
	more := o.sealer.overhead()
	for i := o.n - 1; i >= max(0, o.n-recentTrains); i-- {
		if t := &o.trains[i]; t.hop == hop && t.from == from {
			if t.open && t.tos == tos && size <= t.size && t.bytes+size+(t.packets+1)*more <= encap.MaxPayload {
				return i
			}
			return -1
		}
	}
	return -1
}

// begin begins a message.
func (o *outbox) begin(hop *NextHop, from sourcePort, tos byte, size int) int {
	i := o.n
	o.n++
	t := &o.trains[i]
	t.hop, t.from, t.tos, t.packets, t.size, t.bytes = hop, from, tos, 0, size, 0
	m := &o.messages[i]
	m.Addr, m.Source, m.Express, m.TOS = hop.Endpoint, from.source, from.express, tos
	m.SegmentSize = 0
	if o.sealer != nil {
		o.sealer.begin(i)
	}
	return i
}

// at returns the header and the payload of packet j of message i. whole says
// that it is one piece: the header goes on with the payload.
func (t *train) at(j int) (header packet.Packet, payload []byte, whole bool) {
	header, payload = packet.Packet(t.buffers[2*j]), t.buffers[2*j+1]
	if payload == nil {
		return header, header.Payload(), true
	}
	return header, payload, false
}

// length is that of packet j.
func (t *train) length(j int) int { return len(t.buffers[2*j]) + len(t.buffers[2*j+1]) }
