package core

import (
	"hash/fnv"
	"math"
	"slices"
)

// electorate is who decides about claims: the lease holders. It is worked out
// anew when a lease or a member has changed, or a dead holder's time is up.
type electorate struct {
	ids    []NodeID // ascending
	senior NodeID   // the longest-standing of them
	hash   uint64   // over ids

	leases, members uint64 // changes that are in it
	until           Time
}

// electors are the lease holders, who decide; in ascending order of ID, not to
// be changed. A node that already holds a lease and moves to a pinned one is
// among them.
func (c *Core) electors() []NodeID { return c.electorate().ids }

// senior is the longest-standing holder.
func (c *Core) senior() NodeID { return c.electorate().senior }

// holdersHash is a hash over who holds what, as far as this node knows.
func (c *Core) holdersHash() uint64 { return c.electorate().hash }

func (c *Core) electorate() *electorate {
	e := &c.voters
	if e.leases != c.table.leaseChanges || e.members != c.memberChanges || c.now >= e.until {
		*e = c.workOutElectorate()
	}
	return e
}

func (c *Core) workOutElectorate() electorate {
	e := electorate{leases: c.table.leaseChanges, members: c.memberChanges, until: math.MaxInt64}
	var oldest *LeaseRecord
	for _, l := range c.table.leases {
		if !c.holds(&l.rec) {
			continue
		}
		e.ids = append(e.ids, l.rec.Holder)
		if m := c.member(l.rec.Holder); !m.up {
			e.until = min(e.until, m.since+c.cfg.LeaseTTL)
		}
		if oldest == nil || l.rec.Ordinal < oldest.Ordinal ||
			l.rec.Ordinal == oldest.Ordinal && compareIDs(l.rec.Holder, oldest.Holder) < 0 {
			oldest = &l.rec
		}
	}
	if oldest != nil {
		e.senior = oldest.Holder
	}
	slices.SortFunc(e.ids, compareIDs)
	e.ids = slices.Compact(e.ids)
	h := fnv.New64a()
	for _, id := range e.ids {
		_, _ = h.Write(id[:])
	}
	e.hash = h.Sum64()
	return e
}
