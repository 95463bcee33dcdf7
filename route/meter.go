// SPDX-License-Identifier: Apache-2.0

package route

import (
	"sync/atomic"
	"time"
)

// A flow is sparse (the word is from RFC 8290) while it stays below sparseRate,
// except for a burst. Above that it is bulk, until it has been well below for a
// while.
const (
	sparseRate  = 1_000_000 // bytes a second
	sparseBurst = 32 << 10  // bytes: one long superpacket is above it

	// bulkMemory is the most that is remembered about a flow, in bytes. After
	// bulkMemory/sparseRate seconds of silence, 0.2, any flow is sparse again.
	// By then its packets have left all queues, and no packet overtakes them.
	bulkMemory = 200 << 10

	// packetCost is what a packet counts in addition to its bytes: small
	// packets cost as much to forward as large ones.
	packetCost = 500

	// meterSize is how many flows are distinguished, a power of two. Flows that
	// collide count together.
	meterSize = 1 << 12
)

// meter distinguishes sparse flows from bulk ones. It counts both directions of
// a flow together, so that both are of one kind, here and at the peer. The
// kernel gives outgoing packets to the queue through which the answers were
// written.
//
// All lanes share it. Each passes the time at which its batch began. So a flow
// may be counted at an earlier time than before. A flow's time only runs
// forward: it does not become sparse by such a step back.
type meter struct {
	start time.Time
	flows [meterSize]atomic.Uint64 // meterState
}

// meterState is the state of a flow. From the top, it has 18 bits for the bytes
// in excess of sparseRate, at most bulkMemory, and one bit for a bulk flow. The
// other 45 bits are the time of that state, in milliseconds since the start: a
// thousand years.
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

// after is the state after one more packet. A tick before the state's own
// counts as the state's own.
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
