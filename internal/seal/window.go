// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"sync"
	"sync/atomic"
)

const (
	windowBits  = 16384
	windowWords = windowBits / 64

	// windowSize is how far behind the highest counter one may be. One word
	// less than the bits: the word that is being entered is empty (RFC 6479,
	// section 3).
	windowSize = windowBits - 64
)

// window remembers which counters of one stream were accepted (RFC 6479). The
// zero value has seen none.
//
// Datagrams are looked at before they are opened, without a lock. They are
// committed after that, under a lock: a stream usually arrives at one thread,
// but an attacker can send copies to another. Only commit decides.
type window struct {
	mu    sync.Mutex
	next  atomic.Uint64 // one more than the highest counter; 0: none
	words [windowWords]atomic.Uint64
}

// fresh reports whether a counter may still be accepted.
func (w *window) fresh(counter uint64) bool {
	next := w.next.Load()
	if counter >= next {
		return true
	}
	if next-counter > windowSize {
		return false
	}
	return w.words[counter/64%windowWords].Load()&(1<<(counter%64)) == 0
}

// commit accepts the n counters from first on, at most 64, if all are
// fresh. Otherwise it accepts none. highest reports whether the last one is
// higher than all before.
func (w *window) commit(first uint64, n int) (accepted, highest bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next, end := w.next.Load(), first+uint64(n)
	if max(next, end)-first > windowSize {
		return false, false
	}
	// The counters are bits of one word, or of two.
	word := first / 64
	low, high := span(first, n)
	if w.taken(word, low, next) || high != 0 && w.taken(word+1, high, next) {
		return false, false
	}
	if end > next {
		w.advance(next, end)
	}
	w.set(word, low)
	if high != 0 {
		w.set(word+1, high)
	}
	return true, end > next
}

// span returns the bits of n counters in the word of the first, and in the next
// word.
func span(first uint64, n int) (low, high uint64) {
	bits := ^uint64(0) >> (64 - n)
	at := first % 64
	return bits << at, bits >> 1 >> (63 - at)
}

// taken reports whether one of the bits is set. A word beyond the highest
// counter still has the bits of an earlier lap: they do not count.
func (w *window) taken(word, bits, next uint64) bool {
	if word*64 >= next+(64-next%64)%64 {
		return false
	}
	return w.words[word%windowWords].Load()&bits != 0
}

func (w *window) set(word, bits uint64) {
	at := &w.words[word%windowWords]
	at.Store(at.Load() | bits)
}

// advance moves the end of the window from next to end, and clears the words
// that it enters.
func (w *window) advance(next, end uint64) {
	first := (next + 63) / 64 // the first word without a counter below next
	last := (end - 1) / 64
	if last >= first+windowWords {
		first = last - windowWords + 1
	}
	for word := first; word <= last; word++ {
		w.words[word%windowWords].Store(0)
	}
	w.next.Store(end)
}
