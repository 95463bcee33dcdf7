// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"

	"flanneld/peers/internal/record"
)

// MemberUp says that gossip sees the node alive.
func (c *Core) MemberUp(now Time, id record.NodeID) { c.setMember(now, id, member{up: true}) }

// MemberAt says at which underlay address gossip has found a node.
func (c *Core) MemberAt(id record.NodeID, at netip.Addr) {
	c.members.setAddress(id, at)
}

// MemberDown says that gossip has given the node up, or that it left.
func (c *Core) MemberDown(now Time, id record.NodeID) { c.setMember(now, id, member{}) }

// MemberSuspect says that a live node does not answer for the moment.
func (c *Core) MemberSuspect(now Time, id record.NodeID, suspect bool) {
	if m := c.members.of(id); m.up {
		c.setMember(now, id, member{up: true, suspect: suspect})
	}
}

func (c *Core) setMember(now Time, id record.NodeID, m member) {
	c.advance(now)
	old := c.members.seen[id]
	if id == c.id || old != nil && old.up == m.up && old.suspect == m.suspect {
		return
	}
	if !m.up && c.isStranger(id) {
		c.members.drop(id)
		return
	}
	m.since = c.now
	if old != nil {
		m.at = old.at
	}
	m.aliveLogged = old != nil && old.aliveLogged && m.up
	c.members.put(id, m)
	c.effects.Changed = true
	if m.up {
		c.logAlive(id)
	} else if !c.hasLeft(id) { // its own farewell has been logged
		c.log(levelInfo, "node is dead", "node", c.nameOf(id), "id", id.Short())
	}
}

// isStranger reports whether a node is in no table here: what is known of its
// life is of no use when it is gone.
func (c *Core) isStranger(id record.NodeID) bool {
	return c.table == nil || c.table.Nodes[id] == nil && c.table.HeldBy(id) == nil && !c.mayHold(id)
}

// logAlive logs, once, that a node is alive, as soon as its name is known and
// it has not said farewell.
func (c *Core) logAlive(id record.NodeID) {
	m := c.members.seen[id]
	if m == nil || !m.up || m.aliveLogged || c.table == nil || c.table.Nodes[id] == nil || c.hasLeft(id) {
		return
	}
	m.aliveLogged = true
	c.log(levelInfo, "node is alive", "node", c.nameOf(id), "id", id.Short())
}

// HasLeft reports whether the node has said farewell.
func (c *Core) HasLeft(id record.NodeID) bool { return c.hasLeft(id) }
