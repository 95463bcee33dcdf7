// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"encoding/binary"
	"io"
	"sync/atomic"
)

const minSlots = 64 // a power of two

// index finds sessions by the number in their datagrams. The lower bits of the
// number are the slot, the others are random, so that a number is not used
// again soon. Lanes read slots without a lock. The slow path writes them under
// the node's lock, and replaces a table that is half full by one of twice the
// size.
type index struct {
	slots []atomic.Pointer[session]
	used  int // only for the slow path
}

func newIndex(size int) *index { return &index{slots: make([]atomic.Pointer[session], size)} }

func (x *index) slot(number uint32) *atomic.Pointer[session] {
	return &x.slots[int(number)&(len(x.slots)-1)]
}

// get returns the session of a number, or nil.
func (x *index) get(number uint32) *session {
	if s := x.slot(number).Load(); s != nil && s.index == number {
		return s
	}
	return nil
}

// find returns the session that can open datagrams with a number, or nil.
func (x *index) find(number uint32) *session {
	if s := x.get(number); s != nil && !s.pending {
		return s
	}
	return nil
}

// free draws a number with a free slot.
func (x *index) free(random io.Reader) (uint32, error) {
	for {
		var b [4]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return 0, err
		}
		number := binary.BigEndian.Uint32(b[:])
		if x.slot(number).Load() == nil {
			return number, nil
		}
	}
}

// add puts a session into its slot, which is free or has the pending handshake
// of the same number. It returns the table to use from now on.
func (x *index) add(s *session) *index {
	slot := x.slot(s.index)
	if slot.Load() == nil {
		x.used++
	}
	slot.Store(s)
	if 2*x.used < len(x.slots) {
		return x
	}
	larger := newIndex(2 * len(x.slots))
	larger.used = x.used
	for i := range x.slots {
		if s := x.slots[i].Load(); s != nil {
			larger.slot(s.index).Store(s)
		}
	}
	return larger
}

// remove frees the slot of a session.
func (x *index) remove(s *session) {
	if slot := x.slot(s.index); slot.Load() == s {
		slot.Store(nil)
		x.used--
	}
}
