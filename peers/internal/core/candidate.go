// SPDX-License-Identifier: Apache-2.0

package core

import (
	"encoding/binary"
	"iter"

	"flanneld/peers/internal/record"
)

// candidate is the slot to claim next. Preferred ones come first where they are
// free, see preferred. Slots that were never used follow, in an order of this
// node's own, so that nodes starting together do not ask for the same. Then
// come slots handed back, and last those of nodes that have been dead for the
// lease TTL.
func (c *Core) candidate() (record.Slot, bool) {
	for _, s := range c.preferred() {
		if c.claimable(s) && c.rank(s) < 2 {
			return s, true
		}
	}
	best, bestRank := record.Slot(0), 3
	for s := range slotsInOrder(c.id, c.Network()) {
		if r := c.rank(s); r < bestRank && c.claimable(s) {
			best, bestRank = s, r
			if r == 0 {
				break
			}
		}
	}
	return best, bestRank < 3
}

// claimable reports whether a slot may be asked for: not reserved, not just
// refused, and not promised to another node by this one.
func (c *Core) claimable(s record.Slot) bool {
	p := c.ledger.of(s)
	return !c.reserved(s) && c.claim.avoided[s] <= c.now && (p == nil || p.Claimant.IsZero() || p.Claimant == c.id)
}

// slotsInOrder walks over all eligible slots once: start and step come from
// the node's ID, and a step without a common factor visits every slot.
func slotsInOrder(id record.NodeID, network record.Network) iter.Seq[record.Slot] {
	low, high := network.Eligible()
	n := uint64(high-low) + 1
	start := binary.BigEndian.Uint64(id[:8]) % n
	step := binary.BigEndian.Uint64(id[8:])%n | 1
	for gcd(step, n) != 1 {
		step += 2
	}
	return func(yield func(record.Slot) bool) {
		for i := range n {
			if !yield(low + record.Slot((start+i*(step%n))%n)) {
				return
			}
		}
	}
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
