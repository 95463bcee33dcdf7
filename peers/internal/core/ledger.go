// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// outlook is what the ledger has to know of the rest.
type outlook interface {
	// leaseOf is the lease record of a slot, nil without one.
	leaseOf(record.Slot) *record.LeaseRecord
	// isUp reports whether gossip sees a node alive.
	isUp(record.NodeID) bool
}

// ledger is the promises of this holder. They are written with the durable
// state before they are sent.
type ledger struct {
	outlook
	promises []Promise
	// since is when a promise of this start was made, last asked for, or
	// resolved by a lease. A promise of an earlier start is not in it.
	since map[record.Slot]Time
}

func newLedger(o outlook) ledger { return ledger{outlook: o, since: map[record.Slot]Time{}} }

// Promise is this holder's word that a slot goes to the claimant only.
type Promise struct {
	Slot     record.Slot    `cbor:"1,keyasint"`
	Epoch    uint64         `cbor:"2,keyasint"`
	Claimant record.NodeID  `cbor:"3,keyasint"`
	Claim    record.ClaimID `cbor:"4,keyasint"` // the claimant's number for it; 0: it has become a lease
	// Ordinal and Pinned are the other things that the voucher is for.
	Ordinal uint64 `cbor:"5,keyasint,omitempty"`
	Pinned  bool   `cbor:"6,keyasint,omitempty"`
}

// grant is what the promise says, as a voucher signs it.
func (p *Promise) grant() record.Grant {
	return record.Grant{Slot: p.Slot, Epoch: p.Epoch, Claimant: p.Claimant, Claim: p.Claim, Ordinal: p.Ordinal, Pinned: p.Pinned}
}

// answers reports whether the promise is what a question asks for.
func (p *Promise) answers(m record.Ask) bool {
	return p != nil && p.Claimant == m.From && p.Epoch == m.Epoch && p.Claim == m.Claim && p.Ordinal == m.Ordinal && p.Pinned == m.Pinned
}

// became reports whether a lease is the one that was promised.
func (p *Promise) became(l *record.LeaseRecord) bool {
	return p != nil && !p.Claimant.IsZero() && p.Claimant == l.Holder && p.Epoch == l.Epoch && (p.Claim.IsZero() || p.Claim == l.Claim && p.Ordinal == l.Ordinal)
}

// isOpen reports whether the slot is promised to a node now. A promise that was
// given back has no claimant.
func (p *Promise) isOpen() bool { return p != nil && !p.Claimant.IsZero() }

// maxPromises bounds the ledger. A claimant has one claim at a time, so only a
// mass start of that many nodes, or a liar, comes near it.
const maxPromises = 4096

// of is the promise of a slot, nil without one. It is valid until the next
// change of the ledger.
func (l *ledger) of(s record.Slot) *Promise {
	for i := range l.promises {
		if l.promises[i].Slot == s {
			return &l.promises[i]
		}
	}
	return nil
}

// put enters a promise in place of the slot's earlier one.
func (l *ledger) put(p Promise, now Time) {
	l.since[p.Slot] = now
	if old := l.of(p.Slot); old != nil {
		*old = p
		return
	}
	l.promises = append(l.promises, p)
}

// renew counts the age of a slot's promise from now on.
func (l *ledger) renew(s record.Slot, now Time) { l.since[s] = now }

// makeRoom reports whether one more promise can be entered. In a full ledger a
// promise that was given back makes room.
func (l *ledger) makeRoom() bool {
	if len(l.promises) < maxPromises {
		return true
	}
	i := slices.IndexFunc(l.promises, func(p Promise) bool { return p.Claimant.IsZero() })
	if i < 0 {
		return false
	}
	delete(l.since, l.promises[i].Slot)
	l.promises = slices.Delete(l.promises, i, i+1)
	return true
}

// isResolved reports whether the table has a lease that the promise led to, or
// that overruled it.
func (l *ledger) isResolved(p Promise) bool {
	lease := l.leaseOf(p.Slot)
	return lease != nil && p.Epoch <= lease.Epoch
}

// resolvedFor is how long a resolved promise stays, so that one write drops
// many.
const resolvedFor = 10 * time.Second

// dropResolved drops the promises that a lease has resolved, and reports
// whether there were any. See durable.Leases.
func (l *ledger) dropResolved(now Time) bool {
	before := len(l.promises)
	l.promises = slices.DeleteFunc(l.promises, func(p Promise) bool {
		if !l.isResolved(p) || now-l.since[p.Slot] < resolvedFor {
			return false
		}
		delete(l.since, p.Slot)
		return true
	})
	return len(l.promises) != before
}

// voidWhere frees the slots of some open promises, and returns how many there
// were. The epochs stay as floors.
func (l *ledger) voidWhere(ends func(Promise) bool) (n int) {
	for i := range l.promises {
		if p := &l.promises[i]; p.isOpen() && ends(*p) {
			p.Claimant = record.NodeID{}
			n++
		}
	}
	return n
}

// expire voids promises that had no outcome within the lease TTL. Their
// claimants are dead: a lease that was confirmed meanwhile would have expired,
// too. It returns how many there were.
func (l *ledger) expire(now Time, ttl time.Duration) int {
	return l.voidWhere(func(p Promise) bool {
		return !l.isResolved(p) && now-l.since[p.Slot] >= ttl && !l.isUp(p.Claimant)
	})
}

// remindEvery is how often a claimant is told again of a promise that stands.
const remindEvery = 5 * time.Second

// overdue are the promises to live claimants that have had no outcome for a
// while.
func (l *ledger) overdue(now Time) []Promise {
	var open []Promise
	for _, p := range l.promises {
		if now-l.since[p.Slot] >= remindEvery && !l.isResolved(p) && l.isUp(p.Claimant) {
			open = append(open, p)
		}
	}
	return open
}

// countUnresolved counts the promises to a claimant that have no outcome yet,
// for slots other than one.
func (l *ledger) countUnresolved(s record.Slot, claimant record.NodeID) int {
	n := 0
	for _, p := range l.promises {
		if p.Claimant == claimant && p.Slot != s && !l.isResolved(p) {
			n++
		}
	}
	return n
}

// isCountedOn reports whether a live claimant waits for the outcome of a
// promise.
func (l *ledger) isCountedOn() bool {
	return slices.ContainsFunc(l.promises, func(p Promise) bool {
		return p.isOpen() && !l.isResolved(p) && l.isUp(p.Claimant)
	})
}

// isClaimed reports whether a live node other than one has the slot's promise,
// and not for long: it is about to get the slot.
func (l *ledger) isClaimed(s record.Slot, but record.NodeID, now Time) bool {
	p := l.of(s)
	return p.isOpen() && p.Claimant != but && l.isUp(p.Claimant) && now-l.since[s] < unresolvedAfter
}

// names reports whether a promise was made to a node.
func (l *ledger) names(id record.NodeID) bool {
	return slices.ContainsFunc(l.promises, func(p Promise) bool { return p.Claimant == id })
}

// unresolvedAfter is how long a promise stands before its claimant counts as a
// possible holder. A promise of an earlier start counts at once. In a mass
// start all nodes are claimants, and live ones report what became of their
// claims.
const unresolvedAfter = 10 * time.Second

// unresolved are the promises to nodes out of reach that may have become
// leases.
func (l *ledger) unresolved(now Time) []Promise {
	var open []Promise
	for _, p := range l.promises {
		at, thisStart := l.since[p.Slot]
		recent := thisStart && now-at < unresolvedAfter
		if p.isOpen() && !recent && !l.isResolved(p) && !l.isUp(p.Claimant) {
			open = append(open, p)
		}
	}
	return open
}

// loadLeases enters leases that the last start knew of and the table does not.
// Their slots are to be granted to no other node.
func (l *ledger) loadLeases(leases []Promise, self record.NodeID) {
	for _, lease := range leases {
		p := l.of(lease.Slot)
		switch {
		case lease.Claimant == self || l.isResolved(lease):
		case p != nil && p.Epoch < lease.Epoch:
			*p = lease
		case p == nil && len(l.promises) < maxPromises:
			l.promises = append(l.promises, lease)
		}
	}
}

// claimantsAt adds to a set the nodes, but for one, that were promised a slot
// and have an address. The function gives a node's address.
func (l *ledger) claimantsAt(at netip.Addr, but record.NodeID, address func(record.NodeID) netip.Addr, into map[record.NodeID]bool) {
	for i := range l.promises {
		if id := l.promises[i].Claimant; !id.IsZero() && id != but && address(id) == at {
			into[id] = true
		}
	}
}
