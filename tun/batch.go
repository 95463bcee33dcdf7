package tun

// Headroom is the room kept in front of every packet of a Batch, in bytes. What
// has to stand directly in front of a packet is put there without moving the
// packet: the virtio-net header that a queue with offloads delivers (10 bytes,
// linux/virtio_net.h) or the header of a sealed datagram. 16 keeps the IP
// header aligned.
const Headroom = 16

// slotAlign is the size of a cache line: two slots never share one.
const slotAlign = 64

// Packet is one overlay packet in a slot of a Batch.
type Packet struct {
	// Data is the packet from its IP header on. It belongs to the batch and is
	// valid until the batch is read into again. The holder may change it in
	// place.
	Data []byte
}

// Batch holds the packets of one Read. All slots lie in one slab, because a
// dense working set that stays in the second-level cache matters more for
// throughput than anything else that could be done about memory.
//
// A Batch belongs to one goroutine and is reused for every Read.
type Batch struct {
	// Packets are the slots in order. After a Read that returned n, the first n
	// hold its packets; what the others hold is not defined.
	Packets []Packet

	slab   []byte
	stride int
	size   int
}

// NewBatch makes a batch of n slots for packets of up to size bytes each. A
// longer packet is cut by the kernel; its IP header then claims more than there
// is. Make size the MTU of the device.
func NewBatch(n, size int) *Batch {
	stride := (Headroom + size + slotAlign - 1) &^ (slotAlign - 1)
	return &Batch{
		Packets: make([]Packet, n),
		slab:    make([]byte, n*stride),
		stride:  stride,
		size:    size,
	}
}

// Len is the number of slots.
func (b *Batch) Len() int { return len(b.Packets) }

// Slot is the room for packet i, as long as the longest packet it takes. It is
// for those who implement Read: put the packet there and call Fill.
func (b *Batch) Slot(i int) []byte {
	start := i*b.stride + Headroom
	return b.slab[start : start+b.size : start+b.size]
}

// Fill declares the first n bytes of slot i to be packet i.
func (b *Batch) Fill(i, n int) { b.Packets[i].Data = b.Slot(i)[:n] }
