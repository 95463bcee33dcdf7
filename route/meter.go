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
	// bulkMemory/sparseRate seconds of silence, 0.2, any flow is sparse again.
	// Until then what it had in queues is gone, and nothing overtakes it.
	bulkMemory = 200 << 10

	// packetCost is what a packet counts in addition to its bytes: those that
	// are small cost as much to forward.
	packetCost = 500

	// meterSize is how many flows are told apart, a power of two. Flows that
	// fall together count together.
	meterSize = 1 << 12
)

// meter tells sparse flows from bulk ones. It counts both directions of a flow
// together, so that both are of one kind, here and at the peer: the kernel
// gives what leaves to the queue that the answers were written through.
//
// All lanes share it. Each has the time at which its batch began. So a flow may
// be counted at a time before the one that it was counted at last. A flow's
// time only runs forward: it does not become sparse by such a step back.
type meter struct {
	start time.Time
	flows [meterSize]atomic.Uint64 // meterState
}

// meterState is what is known of a flow. From the top, it has 18 bits for the
// bytes in excess of sparseRate, at most bulkMemory, and one that says that the
// flow is bulk. The other 45 say when that was so, in milliseconds since the
// start: a thousand years.
type meterState uint64

const (
	meterTime             = 1<<45 - 1
	meterBulk  meterState = 1 << 45
	meterLevel            = 46
)

func newMeter() *meter { return &meter{start: time.Now()} }

// tick is the meter's time.
func (m *meter) tick(now time.Time) int64 { return now.Sub(m.start).Milliseconds() }

// count counts a packet, or superpacket, of this many bytes, and reports
// whether its flow is bulk.
func (m *meter) count(flow, bytes int, tick int64) bool {
	f := &m.flows[flow&(meterSize-1)]
	for {
		old := f.Load()
		s := meterState(old).after(bytes, tick)
		if f.CompareAndSwap(old, uint64(s)) {
			return s&meterBulk != 0
		}
	}
}

// after is what becomes of the state by one more packet. A tick before the
// state's own counts as that one.
func (s meterState) after(bytes int, tick int64) meterState {
	const perTick = sparseRate / 1000
	last := int64(s & meterTime)
	tick = max(tick, last)
	level := max(0, int64(s>>meterLevel)-(tick-last)*perTick)
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
