// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// reference is a window that remembers everything.
type reference struct {
	seen map[uint64]bool
	next uint64
}

func (r *reference) fresh(c uint64) bool {
	return c >= r.next || r.next-c <= windowSize && !r.seen[c]
}

func (r *reference) commit(first uint64, n int) bool {
	end := first + uint64(n)
	for c := first; c < end; c++ {
		if !r.fresh(c) || max(end, r.next)-c > windowSize {
			return false
		}
	}
	for c := first; c < end; c++ {
		r.seen[c] = true
	}
	r.next = max(end, r.next)
	return true
}

func TestWindowEqualsASetOfCounters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		r := reference{seen: map[uint64]bool{}, next: 0}
		base := rapid.SampledFrom([]uint64{0, 0, 1 << 33, refusePackets - 1<<20}).Draw(t, "base")
		at := base
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0: // far ahead
				at += rapid.Uint64Range(0, 3*windowBits).Draw(t, "jump")
			case 1: // a little ahead
				at += rapid.Uint64Range(0, 200).Draw(t, "step")
			case 2: // at the edge of the window
				at = r.next - min(r.next, windowSize+65-rapid.Uint64Range(0, 130).Draw(t, "edge"))
			default: // behind
				at -= min(at, rapid.Uint64Range(0, 300).Draw(t, "back"))
			}
			n := rapid.SampledFrom([]int{1, 1, 2, 17, 63, 64}).Draw(t, "n")
			for c := at; c < at+uint64(n); c++ {
				if got, want := w.fresh(c), r.fresh(c); got != want {
					t.Fatalf("fresh(%d) is %v, want %v; the next one is %d", c, got, want, r.next)
				}
			}
			next := r.next
			got, highest := w.commit(at, n)
			if want := r.commit(at, n); got != want || highest != (got && r.next > next) {
				t.Fatalf("commit(%d, %d) is %v, highest %v, want %v; the next one is %d", at, n, got, highest, want, r.next)
			}
		}
	})
}

func TestWindowIsAsWideAsPromised(t *testing.T) {
	var w window
	w.commit(windowSize, 1)
	for c := range uint64(windowSize + 1) {
		if got, want := w.fresh(c), c > 0 && c < windowSize; got != want {
			t.Fatalf("fresh(%d) is %v", c, got)
		}
	}
}

// TestEachCounterIsAcceptedOnce by several threads that have the same
// datagrams.
func TestEachCounterIsAcceptedOnce(t *testing.T) {
	const threads, trains = 4, 4000
	var w window
	var accepted atomic.Int64
	var wait sync.WaitGroup
	for i := range threads {
		wait.Go(func() {
			for train := range uint64(trains) {
				first, n := train*16, 16
				if i%2 == 1 {
					first, n = first+8, 4
				}
				if ok, _ := w.commit(first, n); ok {
					accepted.Add(int64(n))
					continue
				}
				for c := first; c < first+uint64(n); c++ {
					if w.fresh(c) {
						if ok, _ := w.commit(c, 1); ok {
							accepted.Add(1)
						}
					}
				}
			}
		})
	}
	wait.Wait()
	if got := accepted.Load(); got > trains*16 {
		t.Errorf("%d counters were accepted, there are %d", got, trains*16)
	}
}
