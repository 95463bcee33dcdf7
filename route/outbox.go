package route

import "flanneld/encap"

// outbox collects the datagrams of one batch for one Send. Everything in it is
// made once; what it points to (packets of the batch, fragment headers of its
// own) must stay as it is until the messages are sent.
type outbox struct {
	messages []encap.Message // the first n are in use
	hops     []*NextHop      // of each message
	n        int

	buffers [][2][]byte
	headers [][maxHeader]byte
}

// newOutbox makes an outbox for size datagrams.
func newOutbox(size int) outbox {
	return outbox{
		messages: make([]encap.Message, size),
		hops:     make([]*NextHop, size),
		buffers:  make([][2][]byte, size),
		headers:  make([][maxHeader]byte, size),
	}
}

func (o *outbox) full() bool { return o.n == len(o.messages) }

// pending are the messages added since the last reset.
func (o *outbox) pending() []encap.Message { return o.messages[:o.n] }

func (o *outbox) reset() { o.n = 0 }

// header is memory for the header of the message that add will add next.
func (o *outbox) header() *[maxHeader]byte { return &o.headers[o.n] }

// addPacket adds a whole packet. The outbox must not be full.
func (o *outbox) addPacket(hop *NextHop, p packet) {
	o.buffers[o.n][0] = p
	o.add(hop, 1)
}

// addFragment adds a packet in two pieces. The outbox must not be full.
func (o *outbox) addFragment(hop *NextHop, header packet, payload []byte) {
	o.buffers[o.n] = [2][]byte{header, payload}
	o.add(hop, 2)
}

func (o *outbox) add(hop *NextHop, buffers int) {
	o.hops[o.n] = hop
	m := &o.messages[o.n]
	m.Addr = hop.Endpoint
	m.Buffers = o.buffers[o.n][:buffers]
	o.n++
}

// whole reports whether message i is a packet in one piece.
func (o *outbox) whole(i int) bool { return len(o.messages[i].Buffers) == 1 }

// at returns the header and the payload of the packet in message i. The header
// of a packet in one piece goes on with the rest of the packet.
func (o *outbox) at(i int) (header packet, payload []byte) {
	first := packet(o.buffers[i][0])
	if o.whole(i) {
		return first, first.payload()
	}
	return first, o.buffers[i][1]
}
