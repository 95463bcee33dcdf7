package core

import (
	"hash/fnv"
	"math"
	"net/netip"
	"slices"
)

// electorate is who decides about claims: the lease holders. It is worked out
// anew when a lease or a member has changed, or a dead holder's time is up.
type electorate struct {
	ids    []NodeID // ascending
	senior NodeID   // the longest-standing of them
	hash   uint64   // over ids
	// replaced are dead holders whose host has been set up anew. Another
	// node has their endpoint, and a lease that was granted later, while
	// they counted. They hold their lease, and do not count any more.
	replaced map[NodeID]NodeID
	dead     bool // there is a holder that is dead

	leases, members, moves uint64 // changes that are in it
	until                  Time
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
	if e.leases != c.table.leaseChanges || e.members != c.memberChanges || c.now >= e.until || e.dead && e.moves != c.table.moves {
		*e = c.workOutElectorate()
	}
	return e
}

func (c *Core) workOutElectorate() electorate {
	e := electorate{leases: c.table.leaseChanges, members: c.memberChanges, moves: c.table.moves, until: math.MaxInt64}
	var counting []*LeaseRecord
	for _, l := range c.table.leases {
		if !c.holds(&l.rec) {
			continue
		}
		counting = append(counting, &l.rec)
		if id := l.rec.Holder; !c.member(id).up {
			e.dead = true
			e.until = min(e.until, c.deadSince(id)+c.cfg.LeaseTTL)
		}
	}
	if e.dead {
		e.replaced = c.replacements(counting)
	}
	var oldest *LeaseRecord
	for _, l := range counting {
		if _, gone := e.replaced[l.Holder]; gone {
			continue
		}
		e.ids = append(e.ids, l.Holder)
		if oldest == nil || l.Ordinal < oldest.Ordinal || l.Ordinal == oldest.Ordinal && compareIDs(l.Holder, oldest.Holder) < 0 {
			oldest = l
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

// replacements finds dead holders whose endpoint another one has now, which got
// its lease later: the last of those.
func (c *Core) replacements(holders []*LeaseRecord) map[NodeID]NodeID {
	newest := map[netip.AddrPort]*LeaseRecord{}
	for _, l := range holders {
		if n := c.table.nodes[l.Holder]; n != nil && !n.former {
			at := n.rec.Endpoint()
			if o := newest[at]; o == nil || l.Ordinal > o.Ordinal {
				newest[at] = l
			}
		}
	}
	replaced := map[NodeID]NodeID{}
	for _, l := range holders {
		n := c.table.nodes[l.Holder]
		if n == nil || c.member(l.Holder).up {
			continue
		}
		if by := newest[n.rec.Endpoint()]; by != nil && by.Ordinal > l.Ordinal {
			replaced[l.Holder] = by.Holder
		}
	}
	return replaced
}
