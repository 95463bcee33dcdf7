// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"net/netip"
	"time"
)

const (
	// sourceRate is how many handshakes a second one source may begin, and
	// how many at once.
	sourceRate = 20
	// totalRate is how many a second are answered before the node demands
	// cookies. At 0.2 ms each that is 5 % of a core.
	totalRate = 250

	maxSources = 4096 // that are remembered
)

// bucket fills at a rate up to that number.
type bucket struct {
	level float64
	at    time.Time
}

// take reports whether there was one to take.
func (b *bucket) take(now time.Time, rate float64) bool {
	if b.at.IsZero() {
		b.level = rate
	} else if passed := now.Sub(b.at); passed > 0 {
		b.level = min(rate, b.level+passed.Seconds()*rate)
	}
	b.at = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// limiter bounds the handshakes that other hosts begin.
type limiter struct {
	total   bucket
	sources map[netip.Prefix]*bucket
	swept   time.Time
}

// underLoad reports whether there are more handshakes than the node answers
// without cookies.
func (l *limiter) underLoad(now time.Time) bool { return !l.total.take(now, totalRate) }

// allow reports whether a source may begin one more handshake. A source is an
// IPv4 address, or the first 64 bits of an IPv6 address. Full buckets are
// forgotten. If there are too many others, a new source has to wait.
func (l *limiter) allow(now time.Time, from netip.Addr) bool {
	if l.sources == nil {
		l.sources = map[netip.Prefix]*bucket{}
	}
	source := sourceOf(from)
	b := l.sources[source]
	if b == nil {
		if len(l.sources) >= maxSources {
			l.sweep(now)
		}
		if len(l.sources) >= maxSources {
			return false
		}
		b = &bucket{}
		l.sources[source] = b
	}
	return b.take(now, sourceRate)
}

// sweep forgets the sources that have been quiet for a second: their buckets
// are full. It does so at most once a second.
func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for source, b := range l.sources {
		if now.Sub(b.at) >= time.Second {
			delete(l.sources, source)
		}
	}
}

func sourceOf(from netip.Addr) netip.Prefix {
	from = from.Unmap().WithZone("")
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	source, err := from.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: one source
	}
	return source
}
