// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"slices"
)

// The node table is written up to a second after a change, and can be lost. So
// the durable state, which is written when it matters, has the leases of the
// table as well, as short as can be.

// leaseList is what knownLeases gave last, and the changes of leases that are
// in it.
type leaseList struct {
	leases  []Promise
	changes uint64
}

// tableLeases are the leases of the table as the durable state keeps them, in
// ascending order of slots. Leases beyond maxPromises are in the table only.
func (c *Core) tableLeases() []Promise {
	if c.table == nil || c.leaving {
		return nil
	}
	if k := &c.leasesOnDisk; k.changes != c.table.LeaseChanges {
		k.changes, k.leases = c.table.LeaseChanges, make([]Promise, 0, len(c.table.Leases))
		for s, l := range c.table.Leases {
			k.leases = append(k.leases, Promise{Slot: s, Epoch: l.Rec.Epoch, Claimant: l.Rec.Holder, Ordinal: l.Rec.Ordinal})
		}
		slices.SortFunc(k.leases, func(a, b Promise) int { return cmp.Compare(a.Slot, b.Slot) })
		k.leases = k.leases[:min(len(k.leases), maxPromises)]
	}
	return c.leasesOnDisk.leases
}
