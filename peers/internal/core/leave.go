// SPDX-License-Identifier: Apache-2.0

package core

import "time"

// retireFor is how long a node that is about to leave has no vote. Another call
// of Retire extends it.
const retireFor = 5 * time.Second

// Retire is for a node that is about to Leave: it promises nothing any more. It
// reports whether a live claimant still counts on a promise of this node. The
// promise would go with the node, and the slot could be granted to another
// claimant meanwhile.
func (c *Core) Retire(now Time) (owing bool) {
	c.advance(now)
	c.retireAt = max(c.now, 1)
	return c.table != nil && c.ledger.isCountedOn()
}

func (c *Core) isRetiring() bool { return c.retireAt > 0 && c.now-c.retireAt < retireFor }

// Leave hands the lease back and announces that this node has left. Once the
// save it asks for is answered, and its sends are done, the driver may stop.
func (c *Core) Leave(now Time) {
	c.advance(now)
	c.leaving = true
	if c.table == nil {
		return
	}
	c.withdrawClaim()
	c.claim.clear()
	c.setPhase(PhaseNone)
	c.freeOtherSlots()
	start := c.durable.Start
	c.announceSelf()
	c.pushToAll()
	// The next start begins afresh, but never under an old start number.
	// The table stays: should this node come back and report that its lease
	// has ended, it has to report which other nodes hold one.
	slot := c.durable.Slot
	c.durable = durable{Start: start, Endpoint: c.cfg.Endpoint, Gossip: c.cfg.Gossip, Slot: slot, Format: durableFormat}
	c.ledger.promises = nil
	if l := c.table.Leases[slot]; l != nil {
		c.durable.HandedBack, c.durable.Freed = l.Rec.Epoch, slot
	}
	c.save(nil)
	c.effects.Changed = true
}
