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
	m.told = old != nil && old.told && m.up
	c.members.put(id, m)
	c.effects.Changed = true
	if m.up {
		c.tellAlive(id)
	} else if !c.HasLeft(id) { // its own farewell has been logged
		c.log(levelInfo, "node is dead", "node", c.nameOf(id), "id", id.Short())
	}
}

// isStranger reports whether a node is in no table here: what is known of its
// life is of no use when it is gone.
func (c *Core) isStranger(id record.NodeID) bool {
	return c.table == nil || c.table.Nodes[id] == nil && c.table.HeldBy(id) == nil && !c.owes(id)
}

// tellAlive logs, once, that a node is alive, as soon as its name is known and
// it has not said farewell.
func (c *Core) tellAlive(id record.NodeID) {
	m := c.members.seen[id]
	if m == nil || !m.up || m.told || c.table == nil || c.table.Nodes[id] == nil || c.HasLeft(id) {
		return
	}
	m.told = true
	c.log(levelInfo, "node is alive", "node", c.nameOf(id), "id", id.Short())
}

// HasLeft reports whether the node has said farewell.
func (c *Core) HasLeft(id record.NodeID) bool {
	return c.table != nil && c.table.Nodes[id] != nil && c.table.Nodes[id].Rec.Left
}

// nameOf is a node's name for people: the display name where it is known.
func (c *Core) nameOf(id record.NodeID) string {
	if c.table != nil {
		if n := c.table.Nodes[id]; n != nil && n.Rec.Name != "" {
			return n.Rec.Name
		}
	}
	return id.Short()
}

// expired reports whether a node has been dead for the lease TTL, as seen
// from here: its lease no longer counts and may be claimed.
func (c *Core) expired(id record.NodeID) bool {
	return !c.isUp(id) && c.now-c.deadSince(id) >= c.cfg.LeaseTTL
}

// deadSince is since when a node that is not up has been dead, as seen from
// here. One that gossip has never named counts from when it was first heard of.
func (c *Core) deadSince(id record.NodeID) Time {
	if m := c.members.seen[id]; m != nil {
		return m.since
	}
	var since Time
	if n := c.table.Nodes[id]; n != nil {
		since = n.Since
	}
	if l := c.table.HeldBy(id); l != nil {
		since = max(since, c.leased[l.Rec.Slot])
	}
	return since
}

// dropMember ends the observation of a node that is struck out and dead.
func (c *Core) dropMember(id record.NodeID) {
	if m := c.members.seen[id]; m != nil && !m.up {
		c.members.drop(id)
	}
}

// leaseOf implements outlook.
func (c *Core) leaseOf(s record.Slot) *record.LeaseRecord {
	if l := c.table.Leases[s]; l != nil {
		return &l.Rec
	}
	return nil
}

// isUp implements outlook.
func (c *Core) isUp(id record.NodeID) bool { return c.members.isUp(id) }
