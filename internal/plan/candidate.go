// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"flanneld/internal/config"
	"flanneld/peers"
)

// Candidate is a path to a peer that the backend list has.
type Candidate struct {
	Path     Path
	Endpoint netip.Addr // where packets go on the underlay
	// Port is where the peer takes VXLAN or datagrams. 0: the path has none.
	Port uint16
	// MAC is the peer's VXLAN device's or, for PathDirect, the neighbor's. Nil:
	// the path has none, or the neighbor is not known.
	MAC config.MAC

	// Possible reports whether this host and the peer both have the path. Only
	// then it is worth a probe.
	Possible bool
	State    ProofState // Unproven where it is not possible
	Used     bool       // at most one is
	Why      string     // one line: why it is not possible, or what its proof says

	// Shortcut is of PathUDP alone.
	Shortcut Shortcut
}

// NotHere begins the reason of a path that this host has not.
const NotHere = "not available on this host: "

// candidates makes the list of paths to each peer.
type candidates struct {
	in      Input
	backend []Path
	own     netip.Addr
	macs    map[string]string   // of VXLAN devices, with what has it
	shared  map[netip.Addr]bool // endpoints of several live nodes
}

func newCandidates(in Input) *candidates {
	c := &candidates{
		in: in, backend: in.Backend, own: in.Snapshot.Self.Endpoint.Addr(),
		macs:   map[string]string{MACOf(in.Snapshot.Self.ID).String(): "this node"},
		shared: map[netip.Addr]bool{},
	}
	if len(c.backend) == 0 {
		c.backend = []Path{PathUDP}
	}
	for _, n := range in.Snapshot.Nodes {
		if n.Self || !live(n) {
			continue
		}
		_, twice := c.shared[n.Endpoint.Addr()]
		c.shared[n.Endpoint.Addr()] = twice
	}
	return c
}

// toNode lists the paths to a node. Nodes must be asked for in the order of the
// plan: where two have one MAC, the first one keeps it.
func (c *candidates) toNode(n peers.NodeInfo, key string) []Candidate {
	var all []Candidate
	for _, p := range c.backend {
		one := Candidate{Path: p, Endpoint: n.Endpoint.Addr()}
		c.settle(&one, key, n.Name, c.nodeLacks(&one, n))
		c.addShortcut(&one, key, shortcutLacking(n.Caps))
		all = append(all, one)
	}
	return all
}

// nodeLacks says why a node cannot be reached by a path, "" when it can. It
// fills in what the node announces.
func (c *candidates) nodeLacks(one *Candidate, n peers.NodeInfo) string {
	if lacks := c.announces(one, n); lacks != "" {
		return lacks
	}
	if one.Path.Kernel() && c.shared[one.Endpoint] {
		return fmt.Sprintf("another node is at %s, too", one.Endpoint)
	}
	return ""
}

// announces says why a node does not take a path, "" when it does. It fills in
// the parameters.
func (c *candidates) announces(one *Candidate, n peers.NodeInfo) string {
	known := true
	switch one.Path {
	case PathUDP:
		one.Port = n.Endpoint.Port()
		known = takesUDP(n.Caps)
	case PathDirect:
		_, known = find(n.Caps, capDirect)
	case PathIPIP:
		_, known = find(n.Caps, capIPIP)
	case PathVXLAN:
		param, _ := find(n.Caps, capVXLAN)
		var at vxlanParam
		if at, known = readVXLAN(param); known && at.vni != c.in.VNI {
			return fmt.Sprintf("the node has VNI %d, this one %d (--vxlan-vni)", at.vni, c.in.VNI)
		}
		one.Port, one.MAC = at.port, MACOf(n.ID)
	}
	if !known {
		return "the node does not take it"
	}
	return ""
}

// toStatic lists the one path to a static peer.
func (c *candidates) toStatic(s config.StaticPeer, key string) []Candidate {
	one := Candidate{Path: s.Way(), Endpoint: s.Endpoint.Addr(), Port: s.Endpoint.Port(), MAC: s.MAC}
	lacks := ""
	if one.Path.Kernel() && !slices.Contains(c.backend, one.Path) {
		lacks = "--backend has no " + one.Path.Backend()
	}
	c.settle(&one, key, StaticName(s), lacks)
	c.addShortcut(&one, key, "a static peer does not take it")
	return []Candidate{one}
}

// settle decides whether a candidate is possible, and asks for its proof.
func (c *candidates) settle(one *Candidate, key, name, lacks string) {
	one.Why = lacks
	if one.Why == "" && one.Path.Kernel() {
		one.Why = c.hostLacks(one, name)
	}
	if one.Possible = one.Why == ""; !one.Possible || c.in.Proof == nil {
		return
	}
	proof := c.in.Proof(key, one.Path)
	one.State, one.Why = proof.State, proof.Why
}

// addShortcut decides whether the kernel may carry the udp format to a peer,
// and asks for its proof. lacks says why the peer does not take it so.
func (c *candidates) addShortcut(one *Candidate, key, lacks string) {
	if one.Path != PathUDP || !one.Possible {
		return
	}
	s := &one.Shortcut
	s.Why = cmp.Or(c.shortcutLacks(one), lacks)
	if s.Possible = s.Why == ""; !s.Possible {
		return
	}
	proof := Proof{}
	if c.in.Proof != nil {
		proof = c.in.Proof(key, PathShortcut)
	}
	s.State, s.Why = proof.State, cmp.Or(proof.Why, proof.State.String())
}

// shortcutLacks says why this host has no short-cut to a peer, "" where it has
// one.
func (c *candidates) shortcutLacks(one *Candidate) string {
	switch {
	case c.in.Sealed, c.in.Shortcut == nil:
		return WhyShortcutIsOff(c.in.Sealed, c.in.Switched)
	case c.in.Loopback:
		return "the underlay is the loopback interface"
	case one.Endpoint == c.own:
		return "the peer is on this host"
	}
	if why := c.in.Shortcut(); why != "" {
		return NotHere + why
	}
	return ""
}

// hostLacks says why this host cannot use a kernel path, "" when it can. It
// fills in what the host knows of the peer.
func (c *candidates) hostLacks(one *Candidate, name string) string {
	if c.in.Unavailable != nil {
		if why := c.in.Unavailable(one.Path); why != "" {
			return NotHere + why
		}
	}
	switch {
	case c.in.Loopback:
		return "the underlay is the loopback interface"
	case one.Endpoint == c.own:
		return "the peer is on this host"
	case one.Path == PathVXLAN:
		mac := one.MAC.String()
		if holder, taken := c.macs[mac]; taken {
			return fmt.Sprintf("%s has its MAC %s", holder, mac)
		}
		c.macs[mac] = name
	case one.Path == PathDirect && c.in.Near == nil:
		return "this host does not know its neighbors"
	case one.Path == PathDirect:
		var why string
		_, one.MAC, why = c.in.Near(one.Endpoint)
		return why
	}
	return ""
}
