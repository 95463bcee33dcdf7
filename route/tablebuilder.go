// SPDX-License-Identifier: Apache-2.0

package route

import (
	"net/netip"

	"github.com/gaissmai/bart"
)

// tableBuilder is the next snapshot under construction. The snapshot that it
// started from stays as it is, because lanes are reading it.
type tableBuilder struct {
	snapshot
	own bool // the tables are copies and can be changed in place
}

// fewChanges is the share of a table's routes, one in so many, up to which the
// builder makes changes one by one. Each copies the path to its node in the
// table. For more changes it copies the whole table first.
const fewChanges = 16

// builder starts a tableBuilder for about so many changes.
func (s *snapshot) builder(changes int) *tableBuilder {
	b := &tableBuilder{snapshot: *s}
	if changes*fewChanges > s.hops.Size() {
		b.hops, b.endpoints, b.own = s.hops.Clone(), s.endpoints.Clone(), true
	}
	return b
}

// replace sets the next hop of a prefix, or removes it if hop is nil.
func (b *tableBuilder) replace(prefix netip.Prefix, hop *NextHop) {
	old, _ := b.hops.Get(prefix)
	switch {
	case hop == nil && b.own:
		b.hops.Delete(prefix)
	case hop == nil:
		b.hops = b.hops.DeletePersist(prefix)
	case b.own:
		b.hops.Insert(prefix, hop)
	default:
		b.hops = b.hops.InsertPersist(prefix, hop)
	}
	before, after := old.underlay(), hop.underlay()
	if before != after {
		b.countEndpoint(before, -1)
		b.countEndpoint(after, 1)
	}
}

// countEndpoint changes the number of next hops that have this underlay
// address.
func (b *tableBuilder) countEndpoint(addr netip.Addr, delta int) {
	if !addr.IsValid() {
		return
	}
	prefix := netip.PrefixFrom(addr, addr.BitLen())
	add := func(n int, _ bool) (int, bool) { return n + delta, n+delta == 0 }
	if b.own {
		b.endpoints.Modify(prefix, add)
	} else {
		b.endpoints = b.endpoints.ModifyPersist(prefix, add)
	}
}

// newSnapshot returns an empty snapshot.
func newSnapshot() *snapshot {
	return &snapshot{hops: new(bart.Table[*NextHop]), endpoints: new(bart.Table[int])}
}
