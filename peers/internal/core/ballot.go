package core

import (
	"net/netip"

	"flanneld/peers/internal/record"
)

// Ballot is a claim under way, for people: who has promised, and who is being
// waited for.
type Ballot struct {
	Subnet   netip.Prefix
	Epoch    uint64
	Electors int // the lease holders, who decide
	Needed   int // how many of them have to promise
	// Promised are those who have, Missing those who have not answered; the
	// others may not promise. Ascending by ID.
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

// hasPromised reports whether an elector has promised the slot of the claim; we
// ourselves have, where we may vote.
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
