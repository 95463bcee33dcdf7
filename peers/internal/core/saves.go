// SPDX-License-Identifier: Apache-2.0

package core

import "flanneld/peers/internal/record"

// Save is a durable state to be written durably (file and directory synced)
// before Saved is called with its token.
type Save struct {
	Token   uint64
	Durable []byte
}

// saves are the writes that were asked for, and what waits for them.
type saves struct {
	token   uint64 // of the last write
	pending *Save  // not handed to the driver yet; nil: none
	waiting []waiter
}

// waiter runs once a write with this token or a newer one is durable.
type waiter struct {
	token uint64
	then  func()
}

// ask asks for a write. Every write is whole, so it replaces one that is
// pending.
func (s *saves) ask(encoded []byte) {
	s.token++
	s.pending = &Save{Token: s.token, Durable: encoded}
}

// after has a function run once the last write that was asked for is durable.
func (s *saves) after(then func()) { s.waiting = append(s.waiting, waiter{s.token, then}) }

// isIdle reports whether nothing waits for a write.
func (s *saves) isIdle() bool { return len(s.waiting) == 0 }

// takePending is the write to hand to the driver, nil without one.
func (s *saves) takePending() *Save {
	p := s.pending
	s.pending = nil
	return p
}

// written runs what waits for a write, or for an earlier one. Functions that
// are added meanwhile wait for the next write.
func (s *saves) written(token uint64) {
	waiting := s.waiting
	s.waiting = nil
	for _, w := range waiting {
		if w.token <= token {
			w.then()
		} else {
			s.waiting = append(s.waiting, w)
		}
	}
}

// save asks for the durable state to be written. Then the function, if there is
// one, runs. A write that fails runs nothing: what depends on it is not sent.
func (c *Core) save(then func()) {
	c.durable.Leases, c.durable.Promises = c.tableLeases(), c.ledger.promises
	c.saves.ask(record.Encode(c.durable))
	if then != nil {
		c.saves.after(then)
	}
}

// saveIn asks for the durable state to be written. Then the function runs, if
// the claim is still in the phase.
func (c *Core) saveIn(p Phase, then func()) {
	c.save(func() {
		if c.claim.phase == p {
			then()
		}
	})
}

// Saved is the disk's answer. A token answers for all earlier ones, since every
// durable state is whole. After an error the driver writes the newest one again
// when it sees fit. Until then nothing that waits for it happens.
func (c *Core) Saved(now Time, token uint64, err error) {
	c.advance(now)
	if err == nil {
		c.saves.written(token)
	}
}
