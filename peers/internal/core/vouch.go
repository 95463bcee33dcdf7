package core

import (
	"cmp"
	"crypto/ed25519"
	"slices"
)

// vouch signs a promise.
func (c *Core) vouch(g grant) []byte {
	return c.cfg.signer.sign(c.cfg.Identity.Key, g.bytes(c.table.netID))
}

// vouched checks a signed promise of a holder.
func (c *Core) vouched(g grant, by NodeID, sig []byte) bool {
	key := c.table.keyOf(by)
	return len(sig) == ed25519.SignatureSize && len(key) == ed25519.PublicKeySize && c.cfg.signer.verify(key, g.bytes(c.table.netID), sig)
}

// collectVouchers takes the promises to carry out of those received: of the
// longest-standing holders, which most nodes know.
func (c *Core) collectVouchers() vouchers {
	k := &c.claim
	ids := make([]NodeID, 0, len(k.vouchers))
	for id := range k.vouchers {
		if k.votes[id] == promised {
			ids = append(ids, id)
		}
	}
	age := func(id NodeID) uint64 {
		if l := c.table.heldBy(id); l != nil {
			return l.rec.Ordinal
		}
		return maxCounter
	}
	slices.SortFunc(ids, func(a, b NodeID) int { return cmp.Or(cmp.Compare(age(a), age(b)), compareIDs(a, b)) })
	var v vouchers
	for _, id := range ids[:min(len(ids), maxVouchers)] {
		v = append(append(v, id[:]...), k.vouchers[id]...)
	}
	return v
}
