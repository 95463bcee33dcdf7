// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// LeaseState is how far a node's own lease has come, for people.
type LeaseState uint8

// The states of a lease.
const (
	LeaseNone       LeaseState = iota // the node has left
	LeaseJoining                      // not yet in touch with the network
	LeaseClaiming                     // asking the holders
	LeaseAnnouncing                   // granted; waiting until others know
	LeaseConfirmed
	LeaseLost // overruled, and not released yet
)

// View is what the node knows, for status, routes and events.
type View struct {
	Network record.Network
	State   LeaseState
	Waiting string
	Nodes   []NodeView // all known nodes, self included, ascending by ID
	// PossibleHolders may hold a lease by a promise without a known
	// outcome. They are in no table: their IDs are all that is known.
	// Ascending.
	PossibleHolders []record.NodeID
	Conflicts       []Conflict
	Ballot          *Ballot // the claim under way; nil: none
	// Grantors promised our own lease. Empty where it was granted before
	// this start, or without asking any holder.
	Grantors []record.NodeID
	Fill     []Fill // how full the tables are
}

// NodeView is one node: its record, its lease, its liveness.
type NodeView struct {
	ID record.NodeID
	// Record is what the node announces; Caps and what it points to must
	// not be changed.
	Record record.NodeRecord
	// Lease is the lease held, or has a zero Epoch.
	Lease   record.LeaseRecord
	Subnet  netip.Prefix  // of Lease; zero without one
	Held    time.Duration // how long the lease has been known here
	Up      bool
	Suspect bool
	Self    bool
	Since   time.Duration // how long in this state, as seen from here
	// Replaced is the node that has a dead one's endpoint and got its lease
	// later. The host was set up anew, and the dead node can be forgotten.
	// Zero: none.
	Replaced record.NodeID
	// Former says that only flanneld 0.1 has named the node: it has not
	// been upgraded yet.
	Former bool
}

// View is a copy; it stays as it is.
func (c *Core) View() View {
	v := View{Network: c.Network(), State: c.leaseState(), Waiting: c.claim.waiting, Conflicts: slices.Clone(c.conflicts)}
	if c.table == nil {
		return v
	}
	v.Ballot, v.Fill = c.ballot(), c.fill()
	if v.State == LeaseConfirmed {
		v.Grantors = slices.Clone(c.grantedBy)
	}
	v.PossibleHolders = slices.DeleteFunc(c.allPossibleHolders(), func(id record.NodeID) bool { return c.table.Nodes[id] != nil })
	for _, id := range c.table.SortedNodes() {
		v.Nodes = append(v.Nodes, c.viewNode(id))
	}
	return v
}

func (c *Core) viewNode(id record.NodeID) NodeView {
	m := c.members.of(id)
	n := NodeView{ID: id, Record: c.table.Nodes[id].Rec, Up: m.up, Suspect: m.suspect, Self: id == c.id, Since: c.now - m.since,
		Replaced: c.electorate().replaced[id], Former: c.table.Nodes[id].Former}
	// Our own lease counts only once it is confirmed.
	if l := c.table.HeldBy(id); l != nil && (id != c.id || c.leaseState() == LeaseConfirmed || c.leaseState() == LeaseAnnouncing) {
		n.Lease, n.Subnet, n.Held = l.Rec, c.Network().SubnetOf(l.Rec.Slot), c.now-c.leased[l.Rec.Slot]
	}
	return n
}

func (c *Core) leaseState() LeaseState {
	switch c.claim.phase {
	case PhaseAsking, PhaseSaving, PhaseRevoking:
		return LeaseClaiming
	case PhaseAnnouncing, PhaseKeeping:
		return LeaseAnnouncing
	case PhaseConfirmed:
		return LeaseConfirmed
	case PhaseLost:
		return LeaseLost
	}
	if c.leaving {
		return LeaseNone
	}
	if c.table != nil && c.joinedAt >= 0 {
		return LeaseClaiming
	}
	return LeaseJoining
}
