// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"

	"flanneld/peers/internal/record"
)

// View is what the node knows, for status, routes and events.
type View struct {
	Network record.Network // zero Prefix: not yet known
	Lease   LeaseState     // of the node's own lease
	// Waiting says in one line what the node is waiting for, "" when for
	// nothing.
	Waiting string
	Nodes   []NodeInfo // all known nodes, self included, ascending by ID
	// PossibleHolders may hold a lease by a promise without a known
	// outcome. They are in no table: their IDs are all that is known.
	// Ascending.
	PossibleHolders []record.NodeID
	Conflicts       []Conflict
	Ballot          *Ballot // the claim under way; nil: none
	// PromisedBy are the lease holders that promised this node its lease.
	// Empty where it was granted before this start, or without asking any
	// holder.
	PromisedBy []record.NodeID
	Fill       []Fill // how full the node table and its like are
}

// View is a copy; it stays as it is.
func (c *Core) View() View {
	v := View{Network: c.Network(), Lease: c.leaseState(), Waiting: c.claim.waiting, Conflicts: slices.Clone(c.conflicts)}
	for i := range v.Conflicts {
		v.Conflicts[i].Since = c.now - v.Conflicts[i].Since
	}
	if c.table == nil {
		return v
	}
	v.Ballot, v.Fill = c.ballot(), c.fill()
	if v.Lease == LeaseConfirmed {
		v.PromisedBy = slices.Clone(c.grantedBy)
	}
	v.PossibleHolders = slices.DeleteFunc(c.allPossibleHolders(), func(id record.NodeID) bool { return c.table.Nodes[id] != nil })
	for _, id := range c.table.SortedNodes() {
		v.Nodes = append(v.Nodes, c.nodeInfo(id))
	}
	return v
}

func (c *Core) nodeInfo(id record.NodeID) NodeInfo {
	m, s := c.members.of(id), c.table.Nodes[id]
	r := &s.Rec
	n := NodeInfo{
		ID: id, Name: r.Name, State: m.stateOf(r), Self: id == c.id, Endpoint: r.Endpoint(), Gossip: r.Gossip(), MTU: int(r.MTU),
		Caps: r.Caps, SealKey: r.SealKey, Instance: r.Instance, Start: r.Start, Since: c.now - m.since, ReplacedBy: c.electorate().replaced[id], Old: s.Former,
	}
	// Our own lease counts only once it is confirmed.
	if l := c.table.HeldBy(id); l != nil && (!n.Self || c.leaseState() == LeaseConfirmed || c.leaseState() == LeaseAnnouncing) {
		n.Lease = Lease{c.Network().SubnetOf(l.Rec.Slot), l.Rec.Epoch, l.Rec.Pinned, int(l.Rec.Electors), int(l.Rec.Promises), c.now - c.leased[l.Rec.Slot]}
	}
	return n
}
