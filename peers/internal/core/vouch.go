// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"slices"

	"flanneld/peers/internal/record"
)

// vouch signs a promise.
func (c *Core) vouch(g record.Grant) []byte {
	return c.cfg.Signer.Sign(c.cfg.Identity.Key, g.Bytes(c.table.NetID))
}

// collectVouchers selects the vouchers for the lease record: of the
// longest-standing holders, which most nodes know.
func (c *Core) collectVouchers() record.Vouchers {
	k := &c.claim
	ids := make([]record.NodeID, 0, len(k.vouchers))
	for id := range k.vouchers {
		if k.votes[id] == record.Promised {
			ids = append(ids, id)
		}
	}
	age := func(id record.NodeID) uint64 {
		if l := c.table.HeldBy(id); l != nil {
			return l.Rec.Ordinal
		}
		return record.MaxCounter
	}
	slices.SortFunc(ids, func(a, b record.NodeID) int { return cmp.Or(cmp.Compare(age(a), age(b)), record.CompareIDs(a, b)) })
	var v record.Vouchers
	for _, id := range ids[:min(len(ids), record.MaxVouchers)] {
		v = append(append(v, id[:]...), k.vouchers[id]...)
	}
	return v
}
