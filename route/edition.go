package route

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// edition is a snapshot in the making. The one that it began as stays as it is:
// loops are reading it.
type edition struct {
	snapshot
	own bool // the tables are copies, to be changed in place
}

// fewChanges is the part of a table's routes, one in so many, up to which changes
// are made one by one, each with a copy of what lies on the way to it. For more
// the whole is copied first.
const fewChanges = 16

// edit begins an edition for about so many changes.
func (s *snapshot) edit(changes int) *edition {
	e := &edition{snapshot: *s}
	if changes*fewChanges > s.hops.Size() {
		e.hops, e.endpoints, e.own = s.hops.Clone(), s.endpoints.Clone(), true
	}
	return e
}

// replace puts hop where old was for the same prefix. Either may be nil.
func (e *edition) replace(old, hop *NextHop) {
	switch {
	case hop == nil && e.own:
		e.hops.Delete(old.Prefix)
	case hop == nil:
		e.hops = e.hops.DeletePersist(old.Prefix)
	case e.own:
		e.hops.Insert(hop.Prefix, hop)
	default:
		e.hops = e.hops.InsertPersist(hop.Prefix, hop)
	}
	before, after := old.underlay(), hop.underlay()
	if before != after {
		e.countEndpoint(before, -1)
		e.countEndpoint(after, 1)
	}
}

// countEndpoint changes how many next hops have this underlay address.
func (e *edition) countEndpoint(addr netip.Addr, delta int) {
	if !addr.IsValid() {
		return
	}
	prefix := netip.PrefixFrom(addr, addr.BitLen())
	add := func(n int, _ bool) (int, bool) { return n + delta, n+delta == 0 }
	if e.own {
		e.endpoints.Modify(prefix, add)
	} else {
		e.endpoints = e.endpoints.ModifyPersist(prefix, add)
	}
}

// newSnapshot is an empty one.
func newSnapshot() *snapshot {
	return &snapshot{hops: new(bart.Table[*NextHop]), endpoints: new(bart.Table[int])}
}
