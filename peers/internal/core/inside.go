// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"

	"flanneld/peers/internal/record"
)

// Inside is the inner state of a core, for the simulator and for tests alone.
// They compare what cores think, and break rules on purpose, to see that this
// is noticed. The core has no other switch for that.
type Inside struct{ c *Core }

// Inside gives access to the inner state.
func (c *Core) Inside() Inside { return Inside{c} }

// ClaimState is a claim at a moment.
type ClaimState struct {
	Phase   Phase
	ID      record.ClaimID
	Slot    record.Slot
	Epoch   uint64
	Ordinal uint64
	Grant   record.LeaseRecord // once it is granted
}

// Claim is this node's claim.
func (i Inside) Claim() ClaimState {
	k := &i.c.claim
	return ClaimState{k.phase, k.id, k.slot, k.epoch, k.ordinal, k.grant}
}

// WatchClaim calls a function at each transition of the claim.
func (i Inside) WatchClaim(f func(from, to Phase)) { i.c.claim.watch = f }

// Votes are the verdicts of holders on the claim. They may be changed.
func (i Inside) Votes() map[record.NodeID]record.Verdict { return i.c.claim.votes }

// Decide counts the votes again.
func (i Inside) Decide() { i.c.decide() }

// Wants reports whether a promise is of use to the node.
func (i Inside) Wants(s record.Slot, claim record.ClaimID) bool { return i.c.wants(s, claim) }

// Pinned is the slot that the node must hold, where it must hold one.
func (i Inside) Pinned() (record.Slot, bool) { return i.c.pinned() }

// LastSlot is the slot that the node held last, 0 without one.
func (i Inside) LastSlot() record.Slot { return i.c.durable.Slot }

// Table is the node table, nil while the node is in no network. It may be
// changed.
func (i Inside) Table() *record.Table { return i.c.table }

// Rank is how free a slot is: 0 never used, 1 handed back, 2 expired, 3 held.
func (i Inside) Rank(s record.Slot) int { return i.c.rank(s) }

// Electors are the lease holders, in ascending order.
func (i Inside) Electors() []record.NodeID { return i.c.electors() }

// Senior is the longest-standing lease holder, zero without one.
func (i Inside) Senior() record.NodeID { return i.c.senior() }

// HoldersHash is a hash over the lease holders.
func (i Inside) HoldersHash() uint64 { return i.c.holdersHash() }

// PossibleHolders are nodes out of reach that may hold a lease by a promise of
// this one.
func (i Inside) PossibleHolders() []record.NodeID { return i.c.possibleHolders() }

// Up reports whether the node considers another one alive.
func (i Inside) Up(id record.NodeID) bool { return i.c.isUp(id) }

// NameOf is a node's name, or a part of its ID.
func (i Inside) NameOf(id record.NodeID) string { return i.c.nameOf(id) }

// Promises are the promises that the node has written down.
func (i Inside) Promises() []Promise { return slices.Clone(i.c.ledger.promises) }

// PromiseOf is the promise of a slot, if there is one.
func (i Inside) PromiseOf(s record.Slot) (p Promise, ok bool) {
	if p := i.c.ledger.of(s); p != nil {
		return *p, true
	}
	return Promise{}, false
}

// DropPromises removes some promises from the node's ledger.
func (i Inside) DropPromises(which func(Promise) bool) {
	i.c.ledger.promises = slices.DeleteFunc(i.c.ledger.promises, which)
}

// SetSigner replaces the signer.
func (i Inside) SetSigner(s record.Signer) {
	i.c.cfg.Signer = s
	if i.c.table != nil {
		i.c.table.Signer = s
	}
}

// Judge is what decides about records of other nodes.
func (i Inside) Judge() Judge { return Judge{i.c.judge, i.c.judge} }

// SetGate replaces the judge.
func (i Inside) SetGate(g record.Gate) { i.c.gate = g }

// Judge is a core's judge, with the rules that it is made of.
type Judge struct {
	record.Gate
	j *judge
}

// Trusts reports whether records are taken as they are at the moment.
func (j Judge) Trusts() bool { return j.j.trusted }

// Believes reports whether a lease, or the end of one, is believed.
func (j Judge) Believes(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, raw []byte) bool {
	return j.j.believes(old, rec, raw)
}

// Reaches reports whether the counters of a lease are within reach of the known
// ones.
func (j Judge) Reaches(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord) bool {
	return j.j.withinReach(old, rec)
}

// HasSay reports whether the writer of a record may speak of other nodes.
func (j Judge) HasSay(writer record.NodeID) bool { return j.j.hasSay(writer) }

// IsStable reports whether a node has been up for a while.
func (j Judge) IsStable(id record.NodeID) bool { return j.j.isStable(id) }

// IsStrong reports whether a lease is proven by more than one holder.
func (j Judge) IsStrong(l *record.LeaseRecord) bool { return j.j.isStrong(l) }
