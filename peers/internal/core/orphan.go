// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"

	"flanneld/peers/internal/record"
)

// claimWithoutElectors handles a network that has lost all its holders. The
// live node with the lowest ID confirms its own lease, after a while in which
// it could have learned otherwise. It reports whether the claim has been dealt
// with, or has to wait.
func (c *Core) claimWithoutElectors() bool {
	if len(c.electors()) > 0 {
		c.claim.orphan = 0
		return false
	}
	if c.claim.orphan == 0 {
		c.claim.orphan = c.now
	}
	c.setWaiting("no node holds a lease: waiting for one to begin")
	if c.amnesiac() || len(c.table.Leases) == 0 {
		return true // the founder held a lease: this is not the whole table
	}
	if live := c.members.live(); len(live) > 0 && record.CompareIDs(live[0], c.id) < 0 {
		return true
	}
	if c.now-c.claim.orphan < orphanWait {
		return true
	}
	slot, ok := c.pinned()
	if !ok {
		slot, ok = c.candidate()
	}
	if ok {
		c.claim.slot, c.claim.epoch, c.claim.ordinal = slot, c.nextEpoch(slot), record.Next(c.table.MaxOrdinal())
		c.grantOwn(0, 0)
	}
	return true
}

// alone reports whether this node holds a lease, and all other nodes it knows
// have left. Then there is no node to join before it moves to another subnet. A
// node that was told to join is not alone, whatever its table has forgotten.
func (c *Core) alone() bool {
	if !c.cfg.MayFound || c.cfg.Amnesia || len(c.durable.Lease) == 0 {
		return false
	}
	for id, n := range c.table.Nodes {
		if id != c.id && !n.Rec.Left {
			return false
		}
	}
	return true
}

// found makes the network and the founding node's lease. There is no node to
// ask. The network is announced once it is durable. Else a founder that lost
// power would found another network, and leave its guests behind in this one.
func (c *Core) found() {
	c.founding = true
	c.durable.Network = c.prepared
	c.table = c.newTable(c.prepared)
	slot, ok := c.pinned()
	if !ok {
		slot, ok = c.candidate()
	}
	if !ok {
		c.effects.Fatal = fmt.Errorf("network %s has no subnet to hand out: all are reserved", c.prepared.Prefix)
		return
	}
	c.claim.slot, c.claim.epoch, c.claim.ordinal = slot, 1, 1
	c.log(levelInfo, "founding a network", "network", c.Network().Prefix, "id", c.Network().ID().Short())
	c.grantOwn(0, 0)
}
