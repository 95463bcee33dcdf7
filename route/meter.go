package route

import (
	"sync/atomic"
	"time"
)

// A flow is sparse (RFC 8290 has the word) while it stays below sparseRate, but
// for a burst, and bulk from then on until it has been well below for a while.
const (
	sparseRate  = 1_000_000 // bytes a second
	sparseBurst = 32 << 10  // bytes: one long superpacket is above it

	// bulkMemory is the most that is remembered of a flow, in bytes: after
	// bulkMemory/sparseRate seconds of silence, 0.2, any flow is sparse again. Until
	// then what it had in queues is gone, and nothing overtakes it.
	bulkMemory = 200 << 10

	// packetCost is what a packet counts in addition to its bytes: those that are
	// small cost as much to forward.
	packetCost = 500

	// meterSize is how many flows are told apart, a power of two. Flows that fall
	// together count together.
	meterSize = 1 << 12
)

// meter tells sparse flows from bulk ones. It counts both directions of a flow
// together, so that both are of one kind, here and at the peer: the kernel
// gives what leaves to the queue that the answers were written through.
//
// All lanes share it. Where two of them count the same flow at the same moment
// one of them may not count.
type meter struct {
	start time.Time
	flows [meterSize]atomic.Uint64 // meterState
}

// meterState is what is known of a flow: from the top, 31 bits for the bytes in
// excess of sparseRate, one that says that the flow is bulk, and 32 for when
// that was so, in milliseconds since the start.
type meterState uint64

const (
	meterBulk  meterState = 1 << 32
	meterLevel            = 33
)

func newMeter() *meter { return &meter{start: time.Now()} }

// tick is the meter's time.
func (m *meter) tick(now time.Time) uint32 { return uint32(now.Sub(m.start).Milliseconds()) }

// count counts a packet, or superpacket, of this many bytes, and reports whether
// its flow is bulk.
func (m *meter) count(flow, bytes int, tick uint32) bool {
	f := &m.flows[flow&(meterSize-1)]
	s := meterState(f.Load()).after(bytes, tick)
	f.Store(uint64(s))
	return s&meterBulk != 0
}

// after is what becomes of the state by one more packet.
func (s meterState) after(bytes int, tick uint32) meterState {
	const perTick = sparseRate / 1000
	level := max(0, int64(s>>meterLevel)-int64(tick-uint32(s))*perTick)
	bulk := s & meterBulk
	if level == 0 {
		bulk = 0
	}
	level = min(level+int64(bytes)+packetCost, bulkMemory)
	if level > sparseBurst {
		bulk = meterBulk
	}
	return meterState(level)<<meterLevel | bulk | meterState(tick)
}
