package daemon

import (
	"net/netip"
	"time"

	"flanneld/peers"
)

// silentAfter is how long no member may answer before other underlay addresses
// are tried.
const silentAfter = 5 * time.Second

// answers is whether members answer this node, and where they would. The zero
// value has heard of none. Belongs to the goroutine of Run.
type answers struct {
	members bool             // there are other nodes
	any     bool             // at least one of them is alive
	since   time.Time        // when the last answer ended; zero: there is one
	where   []netip.AddrPort // gossip endpoints, of those that are to be there first
}

// count takes a snapshot and reports whether any member answers. Before the
// first one is known, seeds are what there is to reach.
func (a *answers) count(s *peers.Snapshot, now time.Time) bool {
	a.members, a.any, a.where = false, false, nil
	var dead []netip.AddrPort
	for _, n := range s.Nodes {
		if n.Self || n.State == peers.Left || !n.Gossip.IsValid() {
			continue
		}
		a.members = true
		a.any = a.any || n.State == peers.Alive
		if n.State == peers.Dead {
			dead = append(dead, n.Gossip)
		} else {
			a.where = append(a.where, n.Gossip)
		}
	}
	a.where = append(a.where, dead...)
	seeking := s.Lease == peers.Joining && !a.members
	switch {
	case a.any, !a.members && !seeking:
		a.since = time.Time{}
	case a.since.IsZero():
		a.since = now
	}
	return a.any
}

// silent reports whether no member has answered for silentAfter.
func (a *answers) silent(now time.Time) bool {
	return !a.since.IsZero() && now.Sub(a.since) >= silentAfter
}
