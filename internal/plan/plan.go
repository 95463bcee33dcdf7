// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"flanneld/internal/config"
	"flanneld/peers"
	"flanneld/route"
)

// Input is what a plan is made from.
type Input struct {
	// Snapshot is what peers knows. It is only read.
	Snapshot *peers.Snapshot

	// Static are the static peers, without this host.
	Static []config.StaticPeer

	// Loopback reports that the underlay is the loopback interface. Only
	// then may endpoints be loopback addresses.
	Loopback bool

	// Unseen reports whether gossip has not seen a node alive since this start;
	// see [Seen]. Nil: it has seen all.
	Unseen func(id peers.NodeID) bool

	// Backend lists the paths that this node uses, the best one first. Empty:
	// PathUDP alone.
	Backend []Path

	// Former lists kernel paths that an earlier start of this node took, and
	// Backend has no more. Others may send by them until they know.
	Former []Path

	// VNI is this node's VXLAN network identifier.
	VNI uint32

	// Unavailable says in one line why this host has not a kernel path, ""
	// where it has. Nil: it has them all.
	Unavailable func(Path) string

	// Near says by which device this host reaches an underlay address without
	// a router, and the neighbor's MAC there. why says in one line why not; it
	// is "" when both are known, or with a nil mac while the neighbor is being
	// looked up. It must not wait. Nil: no address is near.
	Near func(netip.Addr) (device string, mac config.MAC, why string)

	// Shortcut says in one line why this host has no short-cut, "" where it has
	// one. Nil: it is switched off.
	Shortcut func() string

	// Sealed reports that the network is sealed, so that it has no short-cut.
	Sealed bool

	// Switched reports that a command has switched the short-cut off.
	Switched bool

	// Proof is what probes say of a kernel path, or of PathShortcut, to a node
	// or static peer, by its ID in Route. Nil: all are unproven.
	Proof func(id string, p Path) Proof
}

// Plan says which nodes are reached, and how.
type Plan struct {
	// Routes are ordered by prefix. No two have the same one.
	Routes []Route

	// Notes says, by Route.ID, why a node or static peer is not reached as
	// it asks for.
	Notes map[string]Note

	// Rules are those that the endpoints of nodes were checked against.
	Rules EndpointRules
}

// Route is the plan for one prefix.
type Route struct {
	Prefix netip.Prefix
	Kind   route.Kind

	// Node is the holder. Zero: a static peer.
	Node  peers.NodeID
	State peers.State // of a node

	// ID and Name are the holder's. A static peer has no node ID: its ID is
	// the value of its flag, its name is its address.
	ID, Name string

	Path     Path           // "" for a Kind other than Via
	Endpoint netip.AddrPort // where datagrams go; zero: nowhere
	MTU      int            // of the holder's device, in bytes; 0: not known
	Live     bool           // gossip reports the holder alive, or it is static

	// Candidates are the paths of the backend list, in its order, with what
	// speaks for and against each. A Kind other than Via may have some, too.
	// Then none is used.
	Candidates []Candidate

	// Arrivals are the kernel paths by which the holder may send to this node,
	// whichever this node takes itself.
	Arrivals []Arrival

	// Why says in one line what the route stands on, and why it has this path.
	Why string
}

// Note is why a node or a static peer is not reached as it asks for.
type Note struct {
	Text string

	// Expected marks what is no fault: a node that is routed from the table on
	// disk, or a static peer's host that joined or left the network.
	Expected bool
}

// FromDisk is the note on a node that is routed from memory.
const FromDisk = "not met since this start; routed by the table on disk"

// Make makes the plan.
//
// This node's own lease counts once it is confirmed. A node that has left
// handed its lease back. The loser of a conflict is not routed. Where a static
// peer and a node claim the same addresses the node has them: all holders
// granted its lease, but the static peer was given to this node alone. A node
// at the static peer's own address is that host. It has the addresses while it
// is a live member. While it is not, the host is taken to run flannel again.
func Make(in Input) Plan {
	rules := EndpointRules{
		network: in.Snapshot.Network.Prefix, self: in.Snapshot.Self.Endpoint, loopback: in.Loopback,
	}
	p := Plan{Notes: map[string]Note{}, Rules: rules}
	paths := newCandidates(in)
	static := slices.SortedFunc(slices.Values(in.Static), compareStatic)
	taken := map[netip.Prefix]string{}
	for _, n := range slices.SortedFunc(slices.Values(in.Snapshot.Nodes), compareNodes) {
		r, ok := p.node(in, n, rules)
		if !ok {
			continue
		}
		if s, back := backAsStatic(n, static); back {
			p.Notes[r.ID] = Note{Text: "routed as static peer " + s.String(), Expected: true}
			continue
		}
		if other, twice := taken[r.Prefix]; twice {
			p.Notes[r.ID] = Note{Text: fmt.Sprintf("%s is routed to %s", r.Prefix, other)}
			continue
		}
		taken[r.Prefix] = r.Name
		if !n.Self {
			r.Arrivals = paths.fromNode(n, r.Endpoint.Addr())
		}
		switch {
		case r.Kind == route.Via:
			p.choosePath(&r, paths.toNode(n, r.ID), false)
		case n.State == peers.Dead && r.Endpoint.IsValid():
			holdPath(&r, paths.toNode(n, r.ID))
		}
		p.Routes = append(p.Routes, r)
	}
	for _, s := range static {
		p.addStatic(in.Snapshot, s, rules, paths)
	}
	slices.SortStableFunc(p.Routes, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
	return p
}

// compareNodes orders as the node table is shown: by lease, name, then ID.
func compareNodes(a, b peers.NodeInfo) int {
	return cmp.Or(a.Lease.Prefix.Compare(b.Lease.Prefix), cmp.Compare(a.Name, b.Name), bytes.Compare(a.ID[:], b.ID[:]))
}

// node plans the route to a node. It is not ok for a node without a lease that
// counts.
func (p *Plan) node(in Input, n peers.NodeInfo, rules EndpointRules) (r Route, ok bool) {
	r = Route{
		Prefix: n.Lease.Prefix, Kind: route.Via, Node: n.ID, ID: n.ID.String(), Name: n.Name, State: n.State,
		Endpoint: n.Endpoint, MTU: n.MTU, Live: live(n),
		Why: "the node holds the lease and is " + n.State.String(),
	}
	if !r.Prefix.IsValid() || n.State == peers.Left || lost(in.Snapshot.Conflicts, n) {
		return r, false
	}
	if n.Self {
		r.Kind = route.Local
		r.Why = "in this node's own lease: the host's own routing decides (docker0 and the other bridges in it)"
		return r, in.Snapshot.Lease == peers.Confirmed
	}
	switch {
	case n.State == peers.Dead && in.Unseen != nil && in.Unseen(n.ID):
		p.Notes[r.ID] = Note{Text: FromDisk, Expected: true}
		r.Why = "the node holds the lease and was " + FromDisk
	case n.State == peers.Dead:
		r.Kind = route.Unreachable
		r.Why += answered + " until it is back"
	}
	if reason := rules.Refuse(n.Endpoint); reason != "" {
		p.Notes[r.ID] = Note{Text: reason}
		// The addresses are the node's own all the same. They are unreachable,
		// and no other node answers for them.
		r.Kind, r.Endpoint = route.Unreachable, netip.AddrPort{}
		r.Why = "the node holds the lease, but " + reason + answered
	}
	return r, true
}

// live reports whether gossip reports a node alive, in doubt or not.
func live(n peers.NodeInfo) bool { return n.State == peers.Alive || n.State == peers.Suspect }

// answered ends the reason of a route that is unreachable.
const answered = ": packets are answered with ICMP host unreachable"

// lost reports whether the node claims what another holds.
func lost(conflicts []peers.Conflict, n peers.NodeInfo) bool {
	return slices.ContainsFunc(conflicts, func(c peers.Conflict) bool {
		return c.Loser == n.ID && c.Prefix == n.Lease.Prefix
	})
}

// CutOff lists the routes to other hosts that a prefix has addresses of.
func (p Plan) CutOff(prefix netip.Prefix) []Route {
	var all []Route
	for _, r := range p.Routes {
		if r.Kind != route.Local && r.Prefix.Overlaps(prefix) {
			all = append(all, r)
		}
	}
	return all
}

// Find returns the route for exactly this prefix.
func (p Plan) Find(prefix netip.Prefix) (Route, bool) {
	i, found := slices.BinarySearchFunc(p.Routes, prefix, func(r Route, prefix netip.Prefix) int {
		return r.Prefix.Compare(prefix)
	})
	if !found {
		return Route{}, false
	}
	return p.Routes[i], true
}
