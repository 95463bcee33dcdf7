// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"

	"flanneld/peers/internal/record"
)

// Ballot is a claim under way, for display: which holders have promised, and
// which ones the node waits for.
type Ballot struct {
	Prefix   netip.Prefix
	Epoch    uint64
	Electors int // the lease holders, which decide
	Needed   int // promises that the grant takes
	// Promised are the holders that have promised. Missing have not
	// answered. The others may not promise. Ascending by ID.
	Promised, Missing []record.NodeID
}

// ballot is the claim under way, nil without one.
func (c *Core) ballot() *Ballot {
	k := &c.claim
	if !k.isAsking() {
		return nil
	}
	t := c.count()
	return &Ballot{c.Network().SubnetOf(k.slot), k.epoch, t.electors, t.needed(), c.grantors(), t.missing}
}

// hasPromised reports whether an elector has promised the slot of the claim.
// This node has, if it may vote.
func (c *Core) hasPromised(id record.NodeID) bool {
	return c.claim.votes[id] == record.Promised || id == c.id && !c.amnesiac()
}

// grantors are the electors that have promised the slot of the claim.
func (c *Core) grantors() []record.NodeID {
	var ids []record.NodeID
	for _, id := range c.electors() {
		if c.hasPromised(id) {
			ids = append(ids, id)
		}
	}
	return ids
}
