package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"flanneld/internal/config"
	"flanneld/peers"
	"flanneld/route"
)

// This file is the one place where what peers knows becomes routes.

// hop is one route before it is bound to the forwarder's objects.
type hop struct {
	prefix   netip.Prefix
	kind     route.Kind
	id       string // of the node; for a static peer, the flag's value
	name     string
	endpoint netip.AddrPort
	mtu      int  // of the node's device; 0: not known
	live     bool // gossip says it is there, or it is static
}

// terrain is what an endpoint is held against.
type terrain struct {
	network  netip.Prefix
	self     netip.AddrPort // our own endpoint
	loopback bool           // the underlay is the loopback interface
	// unmet says that gossip has not heard of a node since this start.
	unmet func(id string) bool
}

// noteUnmet is shown with a node that is routed from memory.
const noteUnmet = "not met since this start; routed by the table on disk"

// The beginnings of notes that are no fault: a static peer's host has moved
// into the network, or out of it.
const (
	noteMovedIn  = "not used: a member now, "
	noteMovedOut = "routed as static peer "
)

// isMove reports whether a note is about such a move.
func isMove(note string) bool {
	return strings.HasPrefix(note, noteMovedIn) || strings.HasPrefix(note, noteMovedOut)
}

// plan turns a snapshot and the static peers into routes. notes says, by node
// ID or static peer, why one is not routed as it would like to be.
//
// Our own lease counts once it is confirmed. A node that has left handed its
// lease back. The loser of a conflict is not routed. Where a static peer and a
// node claim the same addresses the node has them. Its lease was granted by
// all, the static peer was told to this node alone. A node at the static peer's
// own address is that host. It has them while it is a live member. While it is
// not, the host is taken to run flannel again.
func plan(s *peers.Snapshot, static []config.StaticPeer, t terrain) (hops []hop, notes map[string]string) {
	notes = map[string]string{}
	taken := map[netip.Prefix]string{}
	for _, n := range s.Nodes {
		h, ok := nodeHop(s, n, t, notes)
		if !ok {
			continue
		}
		if p, back := backAsStatic(n, static); back {
			notes[n.ID] = noteMovedOut + p.String()
			continue
		}
		if other, twice := taken[h.prefix]; twice {
			notes[n.ID] = fmt.Sprintf("%s is routed to %s", h.prefix, other)
			continue
		}
		taken[h.prefix] = h.name
		hops = append(hops, h)
	}
	for _, p := range static {
		if name, in := movedIn(s, hops, p); in {
			notes[p.String()] = noteMovedIn + name
			continue
		}
		if reason := staticMisfit(hops, p, t); reason != "" {
			notes[p.String()] = reason
			continue
		}
		hops = append(hops, hop{prefix: p.Subnet, kind: route.Via, id: p.String(), name: staticName(p), endpoint: p.Endpoint, live: true})
	}
	return hops, notes
}

// isStatic reports whether a node is the host that a static peer stands for.
func isStatic(n peers.NodeInfo, p config.StaticPeer) bool {
	return n.Endpoint.Addr() == p.Endpoint.Addr() && n.Lease.Prefix.Overlaps(p.Subnet)
}

// movedIn finds the routed node that a static peer's host has become.
func movedIn(s *peers.Snapshot, hops []hop, p config.StaticPeer) (name string, in bool) {
	for _, n := range s.Nodes {
		if !n.Self && isStatic(n, p) && slices.ContainsFunc(hops, func(h hop) bool { return h.id == n.ID }) {
			return n.Name, true
		}
	}
	return "", false
}

// backAsStatic finds the static peer that a dead node may have become again.
func backAsStatic(n peers.NodeInfo, static []config.StaticPeer) (config.StaticPeer, bool) {
	if n.State == peers.Dead && !n.Self {
		for _, p := range static {
			if isStatic(n, p) {
				return p, true
			}
		}
	}
	return config.StaticPeer{}, false
}

func nodeHop(s *peers.Snapshot, n peers.NodeInfo, t terrain, notes map[string]string) (hop, bool) {
	h := hop{prefix: n.Lease.Prefix, id: n.ID, name: n.Name, endpoint: n.Endpoint, mtu: n.MTU, live: n.State == peers.Alive || n.State == peers.Suspect}
	if !h.prefix.IsValid() || n.State == peers.Left || lost(s.Conflicts, n) {
		return h, false
	}
	if n.Self {
		h.kind = route.Local
		return h, s.Lease == peers.Confirmed
	}
	h.kind = route.Via
	switch {
	case n.State == peers.Dead && t.unmet(n.ID):
		notes[n.ID] = noteUnmet
	case n.State == peers.Dead:
		h.kind = route.Unreachable
	}
	if reason := t.refuses(n.Endpoint); reason != "" {
		notes[n.ID] = reason
		// Its addresses are its own all the same: unreachable, and not for
		// anybody to answer for.
		h.kind, h.endpoint = route.Unreachable, netip.AddrPort{}
	}
	return h, true
}

// lost says whether the node claims what another holds.
func lost(conflicts []peers.Conflict, n peers.NodeInfo) bool {
	for _, c := range conflicts {
		if c.Loser == n.ID && c.Prefix == n.Lease.Prefix {
			return true
		}
	}
	return false
}

// refuses says why no datagram may be sent to an endpoint, "" when it may.
func (t terrain) refuses(e netip.AddrPort) string {
	a := e.Addr()
	switch {
	case !a.Is4() || e.Port() == 0:
		return "announces no usable endpoint"
	case t.network.Contains(a):
		return fmt.Sprintf("endpoint %s lies inside the network", e)
	case a.IsLoopback() && !t.loopback:
		return fmt.Sprintf("endpoint %s is a loopback address", e)
	case a.IsUnspecified(), a.IsMulticast(), a.As4()[0] == 0, a.As4()[0] >= 240: // 240/4 and limited broadcast
		return fmt.Sprintf("endpoint %s is no address of a host", e)
	case e == t.self:
		return fmt.Sprintf("endpoint %s is this node's own", e)
	}
	return ""
}

func staticMisfit(hops []hop, p config.StaticPeer, t terrain) string {
	for _, h := range hops {
		if h.prefix.Overlaps(p.Subnet) {
			return fmt.Sprintf("not used: %s holds %s", h.name, h.prefix)
		}
	}
	return t.refuses(p.Endpoint)
}

// staticName is what people see: such a host has told us no name.
func staticName(p config.StaticPeer) string { return p.Endpoint.Addr().String() }

// directory keeps the forwarder's peer objects, so that counters and path MTUs
// outlive a change of routes. Used by one goroutine at a time.
type directory map[string]*route.Peer

// entries binds hops to peer objects. Objects of nodes that are in neither hops
// nor known are given up, and their counters with them.
func (d directory) entries(hops []hop, known func(id string) bool) []route.Entry {
	keep := map[string]bool{}
	entries := make([]route.Entry, 0, len(hops))
	for _, h := range hops {
		e := route.Entry{Prefix: h.prefix, Kind: h.kind}
		if h.kind != route.Local {
			e.Peer = d.peer(h)
			keep[h.id] = true
		}
		entries = append(entries, e)
	}
	for id := range d {
		if !keep[id] && !known(id) {
			delete(d, id)
		}
	}
	return entries
}

func (d directory) peer(h hop) *route.Peer {
	p, ok := d[h.id]
	if !ok || p.Name() != h.name {
		p = route.NewPeer(h.name, h.endpoint, h.mtu)
		d[h.id] = p
	} else {
		p.Update(h.endpoint, h.mtu)
	}
	return p
}
