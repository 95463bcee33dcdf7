// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// Conflict is a subnet that two nodes held.
type Conflict struct {
	Prefix        netip.Prefix
	Winner, Loser record.NodeID
	Since         time.Duration // how long ago it was found
}

const maxConflicts = 64

// conflicts are the conflicts that are not over. Since is the core's time when
// each was found.
type conflicts []Conflict

// noteConflict records that a live node's lease was overruled. A dead node's
// lease may have expired, so that another node could claim it. Should the dead
// node come back, it finds out.
func (c *Core) noteConflict(winner, loser *record.LeaseRecord) {
	if !c.isUp(loser.Holder) || len(c.conflicts) >= maxConflicts {
		return
	}
	subnet := c.Network().SubnetOf(winner.Slot)
	c.conflicts = append(c.conflicts, Conflict{subnet, winner.Holder, loser.Holder, c.now})
	c.log(levelError, "two nodes hold one subnet", "subnet", subnet,
		"keeps", c.nameOf(winner.Holder), "loses", c.nameOf(loser.Holder))
}

// resolve drops the conflicts of a loser that has a lease again.
func (k *conflicts) resolve(holder record.NodeID) {
	*k = slices.DeleteFunc(*k, func(c Conflict) bool { return c.Loser == holder && !holder.IsZero() })
}
