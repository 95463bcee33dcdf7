// SPDX-License-Identifier: Apache-2.0

package core

import (
	"hash/fnv"
	"math"
	"net/netip"
	"slices"

	"flanneld/peers/internal/record"
)

// electorate is the nodes that decide about claims: the lease holders. It is
// computed anew when a lease or a member has changed, or when a dead holder's
// time is up.
type electorate struct {
	ids    []record.NodeID // ascending
	senior record.NodeID   // the longest-standing holder
	hash   uint64          // over ids
	// replaced are dead holders that have been set up anew under another
	// ID. The new node has their endpoint, and a lease that was granted
	// later, while they counted. They keep their lease, and do not count
	// any more.
	replaced map[record.NodeID]record.NodeID
	dead     bool // there is a holder that is dead

	leases, members, moves uint64 // changes that are in it
	until                  Time
}

// electors are the lease holders, which decide. They are in ascending order,
// and the slice must not be changed. A node that holds a lease and moves to a
// pinned one is an elector, too.
func (d *directory) electors() []record.NodeID { return d.electorate().ids }

// senior is the longest-standing holder.
func (d *directory) senior() record.NodeID { return d.electorate().senior }

// holdersHash is a hash over the lease holders that this node knows.
func (d *directory) holdersHash() uint64 { return d.electorate().hash }

func (d *directory) electorate() *electorate {
	e := &d.electorateCache
	if e.leases != d.table.LeaseChanges || e.members != d.members.changes || d.now >= e.until || e.dead && e.moves != d.table.Moves {
		*e = d.workOutElectorate()
	}
	return e
}

func (d *directory) workOutElectorate() electorate {
	e := electorate{leases: d.table.LeaseChanges, members: d.members.changes, moves: d.table.Moves, until: math.MaxInt64}
	var counting []*record.LeaseRecord
	for _, l := range d.table.Leases {
		if !d.holds(&l.Rec) {
			continue
		}
		counting = append(counting, &l.Rec)
		if id := l.Rec.Holder; !d.isUp(id) {
			e.dead = true
			e.until = min(e.until, d.deadSince(id)+d.ttl)
		}
	}
	if e.dead {
		e.replaced = d.replacements(counting)
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

// replacements maps a dead holder to the node that has its endpoint now and got
// its lease later. If there are several, it is the last one.
func (d *directory) replacements(holders []*record.LeaseRecord) map[record.NodeID]record.NodeID {
	newest := map[netip.AddrPort]*record.LeaseRecord{}
	for _, l := range holders {
		if n := d.table.Nodes[l.Holder]; n != nil && !n.Former {
			at := n.Rec.Endpoint()
			if o := newest[at]; o == nil || l.Ordinal > o.Ordinal {
				newest[at] = l
			}
		}
	}
	replaced := map[record.NodeID]record.NodeID{}
	for _, l := range holders {
		n := d.table.Nodes[l.Holder]
		if n == nil || d.isUp(l.Holder) {
			continue
		}
		if by := newest[n.Rec.Endpoint()]; by != nil && by.Ordinal > l.Ordinal {
			replaced[l.Holder] = by.Holder
		}
	}
	return replaced
}
