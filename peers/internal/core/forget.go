// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"slices"

	"flanneld/peers/internal/record"
)

// Errors of Forget.
var (
	ErrForgetAlive   = errors.New("the node is alive: run `flanneld leave` there")
	ErrForgetSuspect = errors.New("the node does not answer, but is not given up yet: try again in some seconds")
	ErrForgetSelf    = errors.New("this is the node itself: run `flanneld leave`")
	ErrForgetUnknown = errors.New("no such node")
	ErrForgetNoLease = errors.New("this node holds no lease, so other nodes would not take its word: run it on one that does")
)

// Forget strikes out a dead node and frees its subnet. Only a node that holds a
// lease can; what it says of a node that others see alive has no effect there.
func (c *Core) Forget(now Time, id record.NodeID) error {
	c.advance(now)
	switch {
	case c.table == nil:
		return ErrNoNetwork
	case id == c.id:
		return ErrForgetSelf
	case c.members.of(id).suspect:
		return ErrForgetSuspect
	case c.isUp(id):
		return ErrForgetAlive
	case c.table.HeldBy(c.id) == nil:
		return ErrForgetNoLease
	}
	if c.table.Nodes[id] == nil && c.table.HeldBy(id) == nil && !slices.Contains(c.allPossibleHolders(), id) {
		return ErrForgetUnknown
	}
	if err := c.strikeOut(id); err != nil {
		return err
	}
	c.pushToAll()
	return nil
}

// strikeOut frees the slots of a node, and writes a forget record.
func (c *Core) strikeOut(id record.NodeID) error {
	for _, s := range slices.Clone(c.table.Held[id]) {
		if err := c.writeFree(c.table.Leases[s].Rec); err != nil {
			return err
		}
	}
	rec := record.ForgetRecord{Node: id, Key: c.cfg.Identity.Public()}
	if n := c.table.Nodes[id]; n != nil {
		rec.Start = n.Rec.Start
	}
	c.makeRoomForForget()
	return c.write(record.KindForget, rec)
}
