// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"

	"flanneld/peers/internal/record"
)

// A promise without a known outcome may have become a lease all the same: one
// that was confirmed while the holder that had promised was down, or cut off.
// So its claimant is a possible holder until the outcome is known. All that
// this holder grants counts possible holders among the holders. Otherwise a
// holder that crashed, and knows of too few, would let others in.

// possibleHolders are the nodes out of reach that may hold a lease by a promise
// of this one.
func (c *Core) possibleHolders() []record.NodeID {
	var ids []record.NodeID
	for _, p := range c.ledger.unresolved(c.now) {
		if !c.hasLeftSince(p) {
			ids = append(ids, p.Claimant)
		}
	}
	return append(ids, c.formerHolders()...)
}

// mayHold reports whether a promise of this node to another may have become a
// lease.
func (c *Core) mayHold(id record.NodeID) bool {
	return c.ledger.names(id) || slices.Contains(c.allPossibleHolders(), id)
}

// unknownHolders are the nodes that may hold a lease by a promise of an
// elector, and are not known to; in ascending order.
func (c *Core) unknownHolders() []record.NodeID {
	electors := c.electors()
	return slices.DeleteFunc(c.allPossibleHolders(), func(id record.NodeID) bool {
		_, holds := slices.BinarySearchFunc(electors, id, record.CompareIDs)
		return holds || id == c.id
	})
}

// allPossibleHolders are the possible holders that this node knows of, by
// itself or by an elector that it has asked; in ascending order.
func (c *Core) allPossibleHolders() []record.NodeID {
	ids := c.possibleHolders()
	for _, id := range c.electors() {
		ids = append(ids, c.claim.possible[id]...)
	}
	slices.SortFunc(ids, record.CompareIDs)
	return slices.Compact(ids)
}
