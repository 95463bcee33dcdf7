// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/rand/v2"
	"time"

	"flanneld/peers/internal/record"
)

// claim is the claimant's side. The zero value is a node without lease or
// claim.
type claim struct {
	phase   Phase
	id      record.ClaimID // of the claim; see ask
	slot    record.Slot
	epoch   uint64
	ordinal uint64
	votes   map[record.NodeID]record.Verdict
	// vouchers are the signatures under the promises of votes.
	vouchers   map[record.NodeID][]byte
	askAt      Time
	pause      time.Duration // between asking again
	majorityAt Time          // since when a majority has promised; -1: it has not
	refused    bool
	contested  bool                              // another node holds the slot, or will
	refusal    string                            // the reason, for display; "" if no holder gave one
	possible   map[record.NodeID][]record.NodeID // see Answer.PossibleHolders, by its sender
	grant      record.LeaseRecord
	acks       map[record.NodeID]bool
	since      Time // of the present phase

	floor     map[record.Slot]uint64         // epochs that were refused as stale
	avoided   map[record.Slot]Time           // refused slots, until when
	withdrawn map[record.Slot]record.ClaimID // claims given up; withdrawn once more at the end
	retryAt   Time
	retries   int
	orphan    Time // since when no elector is known; see claimWithoutElectors
	waiting   string

	watch func(from, to Phase) // nil: no test looks
}

// claims reports whether the claim is for a slot and not over: a holder that
// claims has promised the slot to itself.
func (k *claim) claims(s record.Slot) bool {
	return k.slot == s && (k.phase == PhaseAsking || k.phase == PhaseSaving || k.phase == PhaseRevoking)
}

// enter puts the claim into a phase.
func (k *claim) enter(p Phase, now Time) {
	from := k.phase
	k.phase, k.since = p, now
	if k.watch != nil && from != p {
		k.watch(from, p)
	}
}

// clear resets the claim. The phase stays until the next one is entered.
func (k *claim) clear() { *k = claim{phase: k.phase, watch: k.watch} }

// isOwner reports whether the claim has become a lease that other nodes may
// know.
func (k *claim) isOwner() bool {
	return k.phase == PhaseAnnouncing || k.phase == PhaseKeeping || k.phase == PhaseConfirmed
}

// isAsking reports whether holders are asked at the moment.
func (k *claim) isAsking() bool { return k.phase == PhaseAsking }

// begin starts a claim for a slot.
func (k *claim) begin(id record.ClaimID, s record.Slot, epoch, ordinal uint64) {
	k.id, k.slot, k.epoch, k.ordinal = id, s, epoch, ordinal
	k.votes, k.possible, k.acks = map[record.NodeID]record.Verdict{}, map[record.NodeID][]record.NodeID{}, map[record.NodeID]bool{}
	k.vouchers = map[record.NodeID][]byte{}
	k.pause, k.majorityAt = askAgainFirst, -1
	k.refused, k.contested = false, false
}

// isAnsweredBy reports whether an answer is about the claim under way.
func (k *claim) isAnsweredBy(m record.Answer) bool {
	return k.isAsking() && m.Claim == k.id && m.Slot == k.slot && m.Epoch == k.epoch
}

// noteAnswer counts a holder's verdict, and which nodes may hold a lease by a
// promise of that holder.
func (k *claim) noteAnswer(m record.Answer) {
	k.votes[m.From], k.possible[m.From] = m.Verdict, m.PossibleHolders
}

// raiseFloor records that a slot's epoch was refused as stale.
func (k *claim) raiseFloor(s record.Slot, seen uint64) {
	if k.floor == nil {
		k.floor = map[record.Slot]uint64{}
	}
	k.floor[s] = max(k.floor[s], min(seen, k.epoch+MaxJump))
	k.refused = true
}

// avoid keeps a slot from being a candidate for a while.
func (k *claim) avoid(s record.Slot, until Time) {
	if k.avoided == nil {
		k.avoided = map[record.Slot]Time{}
	}
	k.avoided[s] = until
}

// noteWithdrawn records a claim that gives its promises back. The withdrawal is
// repeated when a lease is confirmed.
func (k *claim) noteWithdrawn() {
	if k.withdrawn == nil {
		k.withdrawn = map[record.Slot]record.ClaimID{}
	}
	k.withdrawn[k.slot] = k.id
}

// retryLater sets a random pause that grows with every failure.
func (k *claim) retryLater(now Time, rand *rand.Rand) {
	most := min(retryFirst<<min(k.retries, 10), retryMost)
	k.retries++
	k.retryAt = now + time.Duration(rand.Int64N(int64(most))+1)
}

// wait sets the line that tells what the claim waits for. It reports whether
// the line has changed.
func (k *claim) wait(text string) bool {
	changed := text != k.waiting
	k.waiting = text
	return changed
}
