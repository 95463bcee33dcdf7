// SPDX-License-Identifier: Apache-2.0

package tun

// Headroom is the room kept in front of every packet of a Batch, in bytes.
// Headers can be put directly in front of a packet without moving it. Examples
// are the virtio-net header that a queue with offloads delivers (10 bytes,
// linux/virtio_net.h) and the header of a sealed datagram. 16 keeps the IP
// header aligned.
const Headroom = 16

// slotAlign is the size of a cache line: two slots never share one.
const slotAlign = 64

// Packet is one overlay packet, or a superpacket, in a slot of a Batch.
type Packet struct {
	// Data is the packet from its IP header on. It belongs to the batch and is
	// valid until the batch is read into again. The holder may change it in
	// place.
	Data []byte

	// SegmentSize is zero for a packet. For a superpacket it is the payload of
	// each segment, in bytes. Data's transport checksum is then not complete,
	// and Data may be longer than the device's MTU. See NewSegmenter.
	SegmentSize int
}

// Batch holds the packets of one Read. They lie one behind the other in one
// slab. A dense working set that stays in the second-level cache matters more
// for throughput than any other property of memory. A slot is as long as its
// packet: many small packets fit, or few superpackets.
//
// A Batch belongs to one goroutine and is reused for every Read.
type Batch struct {
	// Packets are the packets of the last Read, in order.
	Packets []Packet

	slab []byte
	used int // of slab
	size int // of the longest packet
}

// NewBatch makes a batch of at most n packets of up to size bytes each, in a
// slab of room bytes, or of one packet's size if that is more. The kernel cuts
// a longer packet; the length in its IP header is then too large. Make size the
// MTU of the device, or 65535 if it has offloads.
func NewBatch(n, size, room int) *Batch {
	return &Batch{
		Packets: make([]Packet, 0, n),
		slab:    make([]byte, max(room, align(Headroom+size))),
		size:    size,
	}
}

// align is n, rounded up to whole cache lines.
func align(n int) int { return (n + slotAlign - 1) &^ (slotAlign - 1) }

// Len is the number of packets the batch may hold, if they are short.
func (b *Batch) Len() int { return cap(b.Packets) }

// Reset makes the batch empty. It is for implementations of Read, as are Slot
// and Add.
func (b *Batch) Reset() { b.Packets, b.used = b.Packets[:0], 0 }

// Slot is the room for the next packet, as long as the longest packet; nil when
// the batch is full. Put a packet there and call Add.
func (b *Batch) Slot() []byte {
	start := b.used + Headroom
	end := start + b.size
	if end > len(b.slab) || len(b.Packets) == cap(b.Packets) {
		return nil
	}
	return b.slab[start:end:end]
}

// Add declares the first n bytes of Slot to be the next packet: a superpacket
// if segmentSize is not zero.
func (b *Batch) Add(n, segmentSize int) {
	start := b.used + Headroom
	b.Packets = append(b.Packets, Packet{Data: b.slab[start : start+n : start+n], SegmentSize: segmentSize})
	b.used += align(Headroom + n)
}

// frame is Slot with the room for a virtio header in front.
func (b *Batch) frame() []byte {
	if b.Slot() == nil {
		return nil
	}
	start := b.used + Headroom
	return b.slab[start-virtioLen : start+b.size]
}

// addFrame declares the first n bytes of frame to be a virtio header and the
// next packet. It computes a checksum that the kernel has left out.
//
// A superpacket that has to be cut in a way that was not asked for cannot be
// carried. It becomes an empty packet, which every user refuses.
func (b *Batch) addFrame(n int) {
	start := b.used + Headroom
	if n < virtioLen {
		b.Add(0, 0)
		return
	}
	h := parseVirtio(b.slab[start-virtioLen:])
	packet := b.slab[start : start+n-virtioLen]
	switch {
	case h.kind != 0 && !h.matches(packet):
		b.Add(0, 0)
	case h.kind != 0:
		b.Add(len(packet), int(h.segmentSize))
	default:
		if h.flags&virtioNeedsChecksum != 0 {
			completeChecksum(packet, h)
		}
		b.Add(len(packet), 0)
	}
}
