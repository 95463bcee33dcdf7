// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// Times of a claim. Answers come within a round trip and a disk write. What the
// claim waits for beyond that are nodes that gossip has not yet found to be
// dead.
const (
	askAgainFirst = 150 * time.Millisecond
	askAgainMost  = time.Second
	lateAnswers   = 500 * time.Millisecond // wait for the rest once a majority is there
	lateNews      = 100 * time.Millisecond // wait for holders it has not heard of yet
	newcomerFor   = 3 * time.Second        // after a join, until gossip has named all members
	announceBound = time.Second
	writeMost     = 10 * time.Second // for writing a lease, before its votes are too old
	pausedFor     = 5 * time.Second  // without a tick: what was heard before is too old
	retryFirst    = 20 * time.Millisecond
	retryMost     = 2 * time.Second
	avoidFor      = 3 * time.Second // about; then a refused slot is a candidate again
	orphanWait    = 3 * time.Second // see claimWithoutElectors
)

// ErrSubnetHeld means that the pinned subnet belongs to another node.
var ErrSubnetHeld = errors.New("subnet is held by another node")

// setPhase puts the claim into a phase.
func (c *Core) setPhase(p Phase) {
	c.claim.enter(p, c.now)
	c.effects.Changed = true
}

// setWaiting sets the line that tells what the claim waits for; "" is nothing.
func (c *Core) setWaiting(format string, args ...any) {
	if c.claim.wait(fmt.Sprintf(format, args...)) {
		c.effects.Changed = true
	}
}

// pinned is the slot that this node must hold, if there is one.
func (c *Core) pinned() (record.Slot, bool) {
	if !c.cfg.Pin.IsValid() {
		return 0, false
	}
	return c.Network().SlotOf(c.cfg.Pin)
}

// resumeLease confirms the lease that the last start had confirmed.
func (c *Core) resumeLease() {
	if len(c.durable.Lease) == 0 || c.claim.phase != PhaseNone {
		return
	}
	l := c.table.Leases[c.durable.Slot]
	if l == nil || l.Rec.Holder != c.id {
		c.loseLease()
		return
	}
	if pin, ok := c.pinned(); !ok || pin == l.Rec.Slot {
		c.claim.slot, c.claim.epoch = l.Rec.Slot, l.Rec.Epoch
		c.setPhase(PhaseConfirmed)
		c.freeOtherSlots()
	}
}

// driveClaim takes the claim a step further where only time has to pass.
func (c *Core) driveClaim() {
	switch c.claim.phase {
	case PhaseNone:
		c.tryClaim()
	case PhaseAsking:
		if c.now >= c.claim.askAt {
			c.askElectors()
		}
		c.decide()
	case PhaseSaving:
		if c.claim.grant.Electors > 0 && c.now-c.claim.since >= writeMost {
			c.revokeGrant()
		}
	case PhaseAnnouncing:
		if c.now-c.claim.since >= announceBound {
			c.confirmLease()
		} else if c.now >= c.claim.askAt {
			c.announceLease()
		}
	}
}

// tryClaim begins a claim as soon as the node has joined, the driver has
// approved the network, and no refusal is recent.
func (c *Core) tryClaim() {
	switch {
	case len(c.durable.Lease) > 0 && !c.resumed:
		return
	case c.joinedAt < 0 && !c.alone():
		c.setWaiting("waiting for a node of the network to answer")
		return
	case !c.approved || c.now < c.claim.retryAt:
		return
	}
	if mine := c.table.HeldBy(c.id); mine != nil && c.handedBack(&mine.Rec) {
		_ = c.writeFree(mine.Rec)
	} else if mine != nil {
		if pin, ok := c.pinned(); !ok || pin == mine.Rec.Slot {
			c.restoreLease(mine)
			return
		}
	}
	if c.claimWithoutElectors() {
		return
	}
	if slot, ok := c.pinned(); ok {
		if l := c.table.Leases[slot]; l != nil && c.holds(&l.Rec) && l.Rec.Holder != c.id {
			if c.cfg.PinWaits {
				c.setWaiting("--subnet %s is held by node %s", c.cfg.Pin, c.describe(l.Rec.Holder))
				return
			}
			c.effects.Fatal = fmt.Errorf("%w: --subnet %s is held by node %s", ErrSubnetHeld, c.cfg.Pin, c.describe(l.Rec.Holder))
			return
		}
		if p := c.ledger.of(slot); p.isOpen() {
			c.claim.retryLater(c.now, c.cfg.Rand) // another claimant was here first; let it finish
			return
		}
		c.beginClaim(slot)
		return
	}
	slot, ok := c.candidate()
	if !ok {
		c.setWaiting("no free subnet: %s", c.countSlots())
		c.claim.retryLater(c.now, c.cfg.Rand)
		return
	}
	c.beginClaim(slot)
}

func (c *Core) countSlots() string {
	low, high := c.Network().Eligible()
	live, dead := 0, 0
	for _, l := range c.table.Leases {
		switch {
		case l.Rec.Holder.IsZero() || l.Rec.Slot < low || l.Rec.Slot > high:
		case c.isUp(l.Rec.Holder):
			live++
		default:
			dead++
		}
	}
	return fmt.Sprintf("%d subnets, %d held by live nodes, %d by dead ones (`flanneld forget NODE` frees a dead one's)", high-low+1, live, dead)
}

// restoreLease restores a lease that the network remembers and this node does
// not: it lost its durable state, and kept its identity.
func (c *Core) restoreLease(mine *record.Stored[record.LeaseRecord]) {
	c.log(levelInfo, "restoring the lease that the network remembers", "subnet", c.Network().SubnetOf(mine.Rec.Slot))
	c.durable.Lease, c.durable.Slot, c.durable.Pending = mine.Raw, mine.Rec.Slot, false
	c.claim.slot, c.claim.epoch, c.claim.grant = mine.Rec.Slot, mine.Rec.Epoch, record.LeaseRecord{}
	c.setPhase(PhaseSaving)
	c.saveIn(PhaseSaving, c.confirmLease)
}

// handedBack reports whether a lease is one that this node gave up when it left
// last. A node that still has it has not heard of that.
func (c *Core) handedBack(l *record.LeaseRecord) bool {
	return l.Slot == c.durable.Freed && l.Epoch < c.durable.HandedBack
}

// nextEpoch is above every known epoch of the slot.
func (c *Core) nextEpoch(s record.Slot) uint64 {
	epoch := c.claim.floor[s]
	if l := c.table.Leases[s]; l != nil {
		epoch = max(epoch, l.Rec.Epoch)
	}
	if s == c.durable.Freed {
		epoch = max(epoch, c.durable.HandedBack)
	}
	return record.Next(epoch)
}

// beginClaim asks for a slot.
func (c *Core) beginClaim(s record.Slot) {
	k := &c.claim
	c.claims++
	k.begin(record.NewClaimID(c.start, c.claims), s, c.nextEpoch(s), record.Next(c.table.MaxOrdinal()))
	c.setPhase(PhaseAsking)
	if k.refusal == "" { // otherwise it stands until this claim has an outcome
		c.setWaiting("")
	}
	k.refusal = ""
	c.askElectors()
	c.decide()
}

// askElectors asks every holder that has not answered yet, and again each one
// that had no promise to give. A holder that lost its durable state does not
// vote for a while. One with an older disk has yet to hear that it is a holder.
// One that named possible holders may know better by now.
func (c *Core) askElectors() {
	k := &c.claim
	for _, id := range c.electors() {
		if k.votes[id] != record.Promised || len(k.possible[id]) > 0 {
			c.sendAsk(id)
		}
	}
	k.askAt = c.now + k.pause
	k.pause = min(2*k.pause, askAgainMost)
}

// sendAsk asks one holder. A holder that has asked for it gets its cookie and
// this node's record back.
func (c *Core) sendAsk(id record.NodeID) {
	k := &c.claim
	m := record.Ask{Slot: k.slot, Epoch: k.epoch, Claim: k.id, Ordinal: k.ordinal}
	_, m.Pinned = c.pinned()
	if cookie := c.cookies[id]; cookie != nil && c.claim.votes[id] != record.Promised {
		m.Cookie, m.Node = cookie, c.table.Nodes[c.id].Raw
	}
	c.send(id, record.MsgAsk, m)
}

// giveUp withdraws a refused claim; the next candidate follows after a random
// pause.
func (c *Core) giveUp() {
	c.withdrawClaim()
	if !c.stillWanted() {
		c.claim.avoid(c.claim.slot, c.now+avoidFor/2+time.Duration(c.cfg.Rand.Int64N(int64(avoidFor))))
		c.logRefusal()
	}
	c.setPhase(PhaseNone)
	c.claim.retryLater(c.now, c.cfg.Rand)
}

// stillWanted reports whether the claim is made again for the same slot. It is
// if the slot is a preferred one and no other node is in the way. An epoch that
// was too low is raised.
func (c *Core) stillWanted() bool {
	l := c.table.Leases[c.claim.slot]
	free := l == nil || !c.holds(&l.Rec) || l.Rec.Holder == c.id
	return free && !c.claim.contested && slices.Contains(c.preferred(), c.claim.slot)
}

// withdrawClaim gives back the promises of the claim under way.
func (c *Core) withdrawClaim() {
	if c.claim.isAsking() {
		c.withdrawPromises()
	}
}

// withdrawPromises gives back the promises of the claim that was made last.
func (c *Core) withdrawPromises() {
	k := &c.claim
	k.noteWithdrawn()
	c.sendWithdraw(k.slot, k.id, c.electors())
}

func (c *Core) sendWithdraw(s record.Slot, claim record.ClaimID, to []record.NodeID) {
	for _, id := range to {
		c.send(id, record.MsgWithdraw, record.Withdraw{Slot: s, Claim: claim})
	}
}

// wants reports whether a promise of a slot is of use to this node: for the
// claim under way, or for the lease that a claim has become, even if only on
// disk.
func (c *Core) wants(s record.Slot, claim record.ClaimID) bool {
	if s == c.durable.Slot && (len(c.durable.Lease) > 0 || c.claim.phase == PhaseRevoking) {
		return true
	}
	return c.claim.isAsking() && claim == c.claim.id
}

// logRefusal shows why a claim was refused. A pinned slot is claimed until it
// is granted, so the node waits for the obstacle to go.
func (c *Core) logRefusal() {
	k := &c.claim
	if k.refusal == "" {
		return
	}
	if pin, ok := c.pinned(); ok && pin == k.slot {
		c.setWaiting("%s", k.refusal)
		return
	}
	c.log(levelInfo, "subnet is not granted; asking for another", "reason", k.refusal)
	k.refusal = ""
}
