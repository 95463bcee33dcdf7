// SPDX-License-Identifier: Apache-2.0

package route

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// stream counts packets of this size at this rate for a while, and returns how
// many were of a sparse flow, and how many of a bulk one.
func stream(m *meter, size int, every, from, to time.Duration) (sparse, bulk int) {
	for at := from; at < to; at += every {
		if m.count(7, size, m.tick(m.start.Add(at))) {
			bulk++
		} else {
			sparse++
		}
	}
	return sparse, bulk
}

func TestMeterTellsSparseFlowsFromBulk(t *testing.T) {
	for _, test := range []struct {
		name  string
		size  int
		every time.Duration
		bulk  bool
	}{
		{"ping", 84, 5 * time.Millisecond, false},
		{"lookups", 200, 2 * time.Millisecond, false},
		{"voice", 214, 20 * time.Millisecond, false},
		{"ten thousand small packets a second", 60, 100 * time.Microsecond, true},
		{"superpackets", 62_000, 50 * time.Microsecond, true},
		{"two megabytes a second", 1400, 700 * time.Microsecond, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMeter()
			stream(m, test.size, test.every, 0, 200*time.Millisecond)
			sparse, bulk := stream(m, test.size, test.every, 200*time.Millisecond, 10*time.Second)
			if test.bulk && sparse > 0 || !test.bulk && bulk > 0 {
				t.Errorf("%d packets counted as sparse, %d as bulk", sparse, bulk)
			}
		})
	}
}

// A burst passes. A flow that resumes is sparse again once its packets have
// left the queues, and not before.
func TestMeterForgets(t *testing.T) {
	m := newMeter()
	count := func(bytes int, at time.Duration) bool { return m.count(7, bytes, m.tick(m.start.Add(at))) }
	if count(sparseBurst-packetCost, 0) || !count(1, 0) {
		t.Errorf("bulk within a burst of %d bytes, or not beyond", sparseBurst)
	}
	for range 100 {
		count(64<<10, 0)
	}
	for at := 50 * time.Millisecond; at <= 150*time.Millisecond; at += 50 * time.Millisecond {
		if !count(10, at) {
			t.Fatalf("sparse again at %v", at)
		}
	}
	if count(10, time.Second) {
		t.Error("still bulk after most of a second")
	}
	// A clock of 32 bits would have wrapped, or be about to.
	for _, days := range []time.Duration{24, 25, 49, 50, 100, 36500} {
		for range 100 {
			count(64<<10, 24*time.Hour*days)
		}
		if count(10, 24*time.Hour*days+time.Second) {
			t.Errorf("bulk after a second of silence on day %d", days)
		}
	}
	if count(10, 200*365*24*time.Hour) {
		t.Error("bulk after a century of silence")
	}
}

// A lane that could not run for a while counts its batch with the time at which
// the batch began. However far that is behind the time of another lane, a bulk
// flow does not become sparse sooner.
func TestMeterDoesNotGoBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMeter()
		var now, latest, bulkUntil int64
		for range 20 {
			now += rapid.Int64Range(0, 100).Draw(t, "later")
			late := rapid.SampledFrom([]int64{0, 0, 1, 2, 10, 1000, 1 << 33}).Draw(t, "late")
			bytes := rapid.SampledFrom([]int{10, 64 << 10}).Draw(t, "bytes")
			tick := max(0, now-late)
			latest = max(latest, tick)
			if bulk := m.count(7, bytes, tick); !bulk && latest < bulkUntil {
				t.Fatalf("sparse at %d ms, counted at %d, bulk until %d", latest, tick, bulkUntil)
			}
			if bytes > sparseBurst {
				bulkUntil = latest + int64(bytes)*1000/sparseRate
			}
		}
	})
}

// Two lanes that count a flow at the same moment both count.
func TestMeterLosesNoCount(t *testing.T) {
	m := newMeter()
	var lanes sync.WaitGroup
	const each = bulkMemory / packetCost / 2 // together they stay below what is remembered
	for range 2 {
		lanes.Go(func() {
			for range each {
				m.count(7, 0, 0)
			}
		})
	}
	lanes.Wait()
	if level := m.flows[7].Load() >> meterLevel; level != 2*each*packetCost {
		t.Errorf("%d bytes counted, want %d", level, 2*each*packetCost)
	}
}

func TestMeterKeepsFlowsApart(t *testing.T) {
	m := newMeter()
	for range 100 {
		m.count(7, 64<<10, 0)
	}
	for flow := range meterSize {
		if bulk := m.count(flow, 10, 0); bulk != (flow == 7) {
			t.Errorf("flow %d: bulk %v", flow, bulk)
		}
	}
}

func TestMeterIsForAllLanes(t *testing.T) {
	m := newMeter()
	var lanes sync.WaitGroup
	for range 4 {
		lanes.Go(func() {
			for i := range 10_000 {
				m.count(rand.IntN(1<<16), 64<<10, int64(i/10))
			}
		})
	}
	lanes.Wait()
	if !m.count(7, 64<<10, 1000) {
		t.Error("64 KB in a moment are not bulk")
	}
	if n := testing.AllocsPerRun(100, func() { m.count(1, 1, 1) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
