package core

import (
	"hash/fnv"
	"math"
	"net/netip"
	"slices"

	"flanneld/peers/internal/record"
)

// electorate is who decides about claims: the lease holders. It is worked out
// anew when a lease or a member has changed, or a dead holder's time is up.
type electorate struct {
	ids    []record.NodeID // ascending
	senior record.NodeID   // the longest-standing of them
	hash   uint64          // over ids
	// replaced are dead holders whose host has been set up anew. Another
	// node has their endpoint, and a lease that was granted later, while
	// they counted. They hold their lease, and do not count any more.
	replaced map[record.NodeID]record.NodeID
	dead     bool // there is a holder that is dead

	leases, members, moves uint64 // changes that are in it
	until                  Time
}

// electors are the lease holders, who decide; in ascending order of ID, not to
// be changed. A node that already holds a lease and moves to a pinned one is
// among them.
func (c *Core) electors() []record.NodeID { return c.electorate().ids }

// senior is the longest-standing holder.
func (c *Core) senior() record.NodeID { return c.electorate().senior }

// holdersHash is a hash over who holds what, as far as this node knows.
func (c *Core) holdersHash() uint64 { return c.electorate().hash }

func (c *Core) electorate() *electorate {
	e := &c.voters
	if e.leases != c.table.LeaseChanges || e.members != c.members.changes || c.now >= e.until || e.dead && e.moves != c.table.Moves {
		*e = c.workOutElectorate()
	}
	return e
}

func (c *Core) workOutElectorate() electorate {
	e := electorate{leases: c.table.LeaseChanges, members: c.members.changes, moves: c.table.Moves, until: math.MaxInt64}
	var counting []*record.LeaseRecord
	for _, l := range c.table.Leases {
		if !c.holds(&l.Rec) {
			continue
		}
		counting = append(counting, &l.Rec)
		if id := l.Rec.Holder; !c.isUp(id) {
			e.dead = true
			e.until = min(e.until, c.deadSince(id)+c.cfg.LeaseTTL)
		}
	}
	if e.dead {
		e.replaced = c.replacements(counting)
	}
	var oldest *record.LeaseRecord
	for _, l := range counting {
		if _, gone := e.replaced[l.Holder]; gone {
			continue
		}
		e.ids = append(e.ids, l.Holder)
		if oldest == nil || l.Ordinal < oldest.Ordinal || l.Ordinal == oldest.Ordinal && record.CompareIDs(l.Holder, oldest.Holder) < 0 {
			oldest = l
		}
	}
	if oldest != nil {
		e.senior = oldest.Holder
	}
	slices.SortFunc(e.ids, record.CompareIDs)
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
func (c *Core) replacements(holders []*record.LeaseRecord) map[record.NodeID]record.NodeID {
	newest := map[netip.AddrPort]*record.LeaseRecord{}
	for _, l := range holders {
		if n := c.table.Nodes[l.Holder]; n != nil && !n.Former {
			at := n.Rec.Endpoint()
			if o := newest[at]; o == nil || l.Ordinal > o.Ordinal {
				newest[at] = l
			}
		}
	}
	replaced := map[record.NodeID]record.NodeID{}
	for _, l := range holders {
		n := c.table.Nodes[l.Holder]
		if n == nil || c.isUp(l.Holder) {
			continue
		}
		if by := newest[n.Rec.Endpoint()]; by != nil && by.Ordinal > l.Ordinal {
			replaced[l.Holder] = by.Holder
		}
	}
	return replaced
}
