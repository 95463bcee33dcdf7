// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net/netip"
	"sync"
	"time"
)

// bucket is a token bucket. The zero value is full.
type bucket struct {
	spent float64
	at    time.Time
}

// take takes n tokens if there are so many, and reports whether there were. The
// bucket holds burst tokens and gets rate back each second.
func (b *bucket) take(n float64, now time.Time, burst, rate float64) bool {
	if d := now.Sub(b.at).Seconds(); d > 0 {
		b.spent = max(b.spent-d*rate, 0)
		b.at = now
	}
	if b.spent+n > burst {
		return false
	}
	b.spent += n
	return true
}

// full reports whether nothing is spent any more.
func (b *bucket) full(now time.Time, rate float64) bool {
	return b.spent <= now.Sub(b.at).Seconds()*rate
}

// allowance is a bucket for each source address. It is safe for concurrent use.
type allowance struct {
	burst, rate float64 // per source; rate in tokens a second
	sources     int     // at a time; a further one has to wait for a bucket that is full again

	mu      sync.Mutex
	buckets map[netip.Addr]*bucket
	sweptAt time.Time
}

func newAllowance(burst, rate float64, sources int) *allowance {
	return &allowance{burst: burst, rate: rate, sources: sources, buckets: map[netip.Addr]*bucket{}}
}

// take takes a token of a source's.
func (a *allowance) take(from netip.Addr, now time.Time) bool { return a.takeMany(1, from, now) }

// takeMany takes n tokens of a source's, or none.
func (a *allowance) takeMany(n int, from netip.Addr, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.buckets[from]
	if b == nil {
		if len(a.buckets) >= a.sources && !a.sweep(now) {
			return false
		}
		b = &bucket{at: now}
		a.buckets[from] = b
	}
	return b.take(float64(n), now, a.burst, a.rate)
}

// sweep drops buckets that are full, once a second at most, and reports whether
// there is room for another; a.mu is held.
func (a *allowance) sweep(now time.Time) bool {
	if now.Sub(a.sweptAt) >= time.Second {
		a.sweptAt = now
		for from, b := range a.buckets {
			if b.full(now, a.rate) {
				delete(a.buckets, from)
			}
		}
	}
	return len(a.buckets) < a.sources
}

// limiter is a bucket that is safe for concurrent use.
type limiter struct {
	burst, rate float64

	mu sync.Mutex
	b  bucket
}

func newLimiter(burst, rate float64) *limiter { return &limiter{burst: burst, rate: rate} }

func (l *limiter) take(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.take(1, now, l.burst, l.rate)
}
