// SPDX-License-Identifier: Apache-2.0

package core

import "flanneld/peers/internal/record"

// freeOtherSlots hands back every slot of ours but the one of the claim: none
// should be left but after a move to a pinned subnet, or on leaving.
func (c *Core) freeOtherSlots() {
	for _, s := range c.table.SortedSlots() {
		if l := c.table.Leases[s].Rec; l.Holder == c.id && s != c.claim.slot {
			_ = c.writeFree(l)
		}
	}
}

// checkOwnLease is called for a lease record that names another holder, or
// none. It gives up this node's lease, if the record is about that.
func (c *Core) checkOwnLease(l *record.LeaseRecord) {
	if !c.leaving && c.claim.isOwner() && l.Slot == c.claim.slot {
		c.loseLease()
	}
}

// loseLease takes note that our lease is another's: we stop holding it at once.
func (c *Core) loseLease() {
	subnet, by := c.Network().SubnetOf(c.durable.Slot), "no node: it was forgotten"
	if l := c.table.Leases[c.durable.Slot]; l != nil && !l.Rec.Holder.IsZero() {
		by = c.describe(l.Rec.Holder)
	}
	c.log(levelError, "lease lost", "subnet", subnet, "now held by", by)
	c.durable.Lease, c.durable.Pending = nil, false
	c.save(nil)
	c.claim.clear()
	c.setWaiting("lease of %s lost, now held by %s", subnet, by)
	c.setPhase(PhaseLost)
}

// Release lets a node claim another subnet after its lease was lost.
func (c *Core) Release(now Time) {
	c.advance(now)
	if c.claim.phase == PhaseLost {
		c.claim.clear()
		c.setPhase(PhaseNone)
	}
}

// Lost reports whether the lease was lost and not yet released.
func (c *Core) Lost() bool { return c.claim.phase == PhaseLost }
