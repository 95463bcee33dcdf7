// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/plan"
	"flanneld/peers"
)

// leaseOf is this node's own lease and, while it asks for one, its claim.
func leaseOf(s *peers.Snapshot) control.Lease {
	own, known := s.Self.Lease, nodesByID(s.NodesByID())
	l := control.Lease{
		State: s.Lease.String(), Waiting: s.Waiting, Subnet: own.Prefix, Epoch: own.Epoch, Pinned: own.Pinned,
		Electors: own.Electors, Promises: own.Promises, PromisedBy: known.names(s.PromisedBy), Age: control.SecondsOf(own.Held),
	}
	if c := s.Ballot; c != nil {
		l.Claim = &control.Claim{
			Subnet: c.Prefix, Epoch: c.Epoch, Electors: c.Electors, Needed: c.Needed, Answered: c.Electors - len(c.Missing),
			PromisedBy: known.names(c.Promised), Missing: known.missing(c.Missing),
		}
	}
	return l
}

// nodesByID finds nodes by their IDs.
type nodesByID map[peers.NodeID]peers.NodeInfo

func (r nodesByID) name(id peers.NodeID) control.NodeName {
	return control.NodeName{ID: id.String(), Name: r[id].Name}
}

func (r nodesByID) names(ids []peers.NodeID) []control.NodeName {
	names := make([]control.NodeName, len(ids))
	for i, id := range ids {
		names[i] = r.name(id)
	}
	return names
}

func (r nodesByID) missing(ids []peers.NodeID) []control.Missing {
	all := make([]control.Missing, len(ids))
	for i, id := range ids {
		all[i] = control.Missing{NodeName: r.name(id), State: r[id].State.String(), Since: control.SecondsOf(r[id].Since)}
	}
	return all
}

func members(s *peers.Snapshot, static []config.StaticPeer) control.Members {
	m := control.Members{Static: len(static)}
	for _, n := range s.Nodes {
		switch n.State {
		case peers.Alive:
			m.Alive++
		case peers.Suspect:
			m.Suspect++
		case peers.Dead:
			m.Dead++
		case peers.Left:
			m.Left++
		}
	}
	return m
}

// conflicts lists those between nodes, and those between a node and a static
// peer, which only this node knows of.
func conflicts(s *peers.Snapshot, static []config.StaticPeer) []control.Conflict {
	name := nodesByID(s.NodesByID()).name
	out := []control.Conflict{}
	for _, c := range s.Conflicts {
		out = append(out, control.Conflict{Subnet: c.Prefix, Winner: name(c.Winner), Loser: name(c.Loser), Since: control.SecondsOf(c.Since)})
	}
	for _, p := range static {
		for _, n := range s.Nodes {
			if n.Lease.Prefix.IsValid() && n.Lease.Prefix.Overlaps(p.Subnet) && n.State != peers.Left && !plan.SameHost(n, p) {
				out = append(out, control.Conflict{
					Subnet: p.Subnet, Winner: name(n.ID), Loser: control.NodeName{Name: plan.StaticName(p)}, Note: "given with --static-peer " + p.String()})
			}
		}
	}
	return out
}

// WaitingFor says what the node waits for, and what the user can do about it;
// "" for nothing.
func WaitingFor(s *peers.Snapshot) string {
	if s.Waiting == "" {
		return ""
	}
	return joinNotes(s.Waiting, claimAdvice(leaseOf(s).Claim))
}

// StatusLine is what `systemctl status` shows.
func StatusLine(s *peers.Snapshot) string {
	alive := 0
	for _, n := range s.Nodes {
		if n.State == peers.Alive {
			alive++
		}
	}
	switch {
	case s.Lease == peers.Confirmed:
		return fmt.Sprintf("lease %s, %d of %d nodes alive", s.Self.Lease.Prefix, alive, len(s.Nodes))
	case s.Waiting != "":
		return "waiting: " + WaitingFor(s)
	}
	return "lease: " + s.Lease.String()
}
