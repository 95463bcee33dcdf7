// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/bits"

	"flanneld/peers/internal/record"
)

// replayWindow is how far apart messages of one sender may be overtaken.
const replayWindow = 64

// maxReplays bounds how many senders are remembered.
const maxReplays = 2 * record.MaxNodes

// replays remembers which messages of each sender have arrived, so that a
// recorded message makes this node work once at most. It guards the messages
// that are answered with records. Claims have numbers of their own.
type replays map[record.NodeID]*replay

type replay struct {
	start, highest uint64
	seen           uint64 // bit i: the message highest-i has come
}

// first reports whether a message comes for the first time. One that is older
// than the window, or of an earlier start, counts as come.
func (r replays) first(h record.Header) bool {
	s := r[h.From]
	if s == nil {
		if len(r) >= maxReplays {
			r.dropOne()
		}
		r[h.From] = &replay{h.Start, h.Counter, 1}
		return true
	}
	switch {
	case h.Start > s.start:
		*s = replay{h.Start, h.Counter, 1}
		return true
	case h.Start < s.start:
		return false
	case h.Counter > s.highest:
		s.seen = shift(s.seen, h.Counter-s.highest) | 1
		s.highest = h.Counter
		return true
	}
	back := s.highest - h.Counter
	if back >= replayWindow || s.seen&(1<<back) != 0 {
		return false
	}
	s.seen |= 1 << back
	return true
}

func shift(seen, by uint64) uint64 {
	if by >= bits.UintSize {
		return 0
	}
	return seen << by
}

// dropOne makes room; which sender it hits does not matter, since each of its
// messages can then be repeated once more.
func (r replays) dropOne() {
	for id := range r {
		delete(r, id)
		return
	}
}
