// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"

	"flanneld/peers/internal/record"
)

// member is what this node has seen of another one's life. It is an
// observation, never gossiped: each node counts for itself how long another
// has been dead, so that no clocks are compared.
type member struct {
	up          bool
	suspect     bool
	since       Time       // of the present state; the core's start for a node never seen
	aliveLogged bool       // its coming to life has been logged
	at          netip.Addr // where gossip has found it to be; zero: not known
}

// membership is what this node has seen of all others.
type membership struct {
	self    record.NodeID
	seen    map[record.NodeID]*member
	changes uint64 // grows with every change but that of an address

	up   []record.NodeID // see live
	upAt uint64          // the changes that are in up
}

func newMembership(self record.NodeID) membership {
	return membership{self: self, seen: map[record.NodeID]*member{}}
}

// of is a node's life. A node never seen has been dead since the core's start;
// this node itself is up.
func (s *membership) of(id record.NodeID) member {
	if id == s.self {
		return member{up: true}
	}
	if m := s.seen[id]; m != nil {
		return *m
	}
	return member{}
}

// isUp reports whether gossip sees a node alive.
func (s *membership) isUp(id record.NodeID) bool { return s.of(id).up }

// isKnown reports whether gossip has ever named a node.
func (s *membership) isKnown(id record.NodeID) bool { return s.seen[id] != nil }

// put takes note of a change in a node's life.
func (s *membership) put(id record.NodeID, m member) {
	s.seen[id] = &m
	s.changes++
}

// drop forgets what was seen of a node.
func (s *membership) drop(id record.NodeID) {
	delete(s.seen, id)
	s.changes++
}

// setAddress takes note of where gossip has found a member.
func (s *membership) setAddress(id record.NodeID, at netip.Addr) {
	if m := s.seen[id]; m != nil {
		m.at = at
	}
}

// address is where gossip has found a node, zero where it has not.
func (s *membership) address(id record.NodeID) netip.Addr {
	if m := s.seen[id]; m != nil {
		return m.at
	}
	return netip.Addr{}
}

// live are the nodes that gossip sees alive, in ascending order. The slice must
// not be changed.
func (s *membership) live() []record.NodeID {
	if s.upAt == s.changes {
		return s.up
	}
	s.up, s.upAt = nil, s.changes
	for id, m := range s.seen {
		if m.up {
			s.up = append(s.up, id)
		}
	}
	slices.SortFunc(s.up, record.CompareIDs)
	return s.up
}
