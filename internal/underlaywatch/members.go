// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import (
	"net/netip"
	"time"

	"flanneld/peers"
)

// silentAfter is how long no member may answer before other underlay addresses
// are tried.
const silentAfter = 5 * time.Second

// members is whether members answer this node, and where they would. The zero
// value knows none.
type members struct {
	any   bool             // there are other nodes
	since time.Time        // when the last answer ended; zero: there is one
	where []netip.AddrPort // gossip endpoints, of live members first
}

// count takes a snapshot and reports whether any member answers. Before the
// first member is known, seeds are what there is to reach.
func (m *members) count(s *peers.Snapshot, now time.Time) (answered bool) {
	m.any, m.where = false, nil
	var dead []netip.AddrPort
	for _, n := range s.Nodes {
		if n.Self || n.State == peers.Left || !n.Gossip.IsValid() {
			continue
		}
		m.any = true
		answered = answered || n.State == peers.Alive
		if n.State == peers.Dead {
			dead = append(dead, n.Gossip)
		} else {
			m.where = append(m.where, n.Gossip)
		}
	}
	m.where = append(m.where, dead...)
	seeking := s.Lease == peers.Joining && !m.any
	switch {
	case answered, !m.any && !seeking:
		m.since = time.Time{}
	case m.since.IsZero():
		m.since = now
	}
	return answered
}

// silent reports whether no member has answered for silentAfter.
func (m *members) silent(now time.Time) bool {
	return !m.since.IsZero() && now.Sub(m.since) >= silentAfter
}
