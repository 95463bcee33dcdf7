// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/config"
	"flanneld/internal/plan/plantest"
	"flanneld/peers"
	"flanneld/route"
)

var everything = []Path{PathDirect, PathVXLAN, PathIPIP, PathUDP}

// taking makes a node that announces paths.
func taking(n peers.NodeInfo, backend ...Path) peers.NodeInfo {
	n.Caps = Announced(backend, 8472, 1, nil)
	return n
}

// near finds every address on eth0, at a MAC made of its last byte.
func near(a netip.Addr) (string, config.MAC, string) {
	return "eth0", config.MAC{2, 0, 0, 0, 0, a.As4()[3]}, ""
}

// proofs says the same of a path to any peer.
func proofs(all map[Path]Proof) func(string, Path) Proof {
	return func(_ string, p Path) Proof { return all[p] }
}

var proven = map[Path]Proof{PathDirect: {State: Proven}, PathVXLAN: {State: Proven}, PathIPIP: {State: Proven}}

// routeTo plans for one other node, at 192.0.2.2 with 10.244.2.0/24.
func routeTo(t *testing.T, n peers.NodeInfo, change func(*Input)) Route {
	t.Helper()
	in := Input{Snapshot: plantest.Snapshot(peers.Confirmed, n), VNI: 1, Near: near, Proof: proofs(proven)}
	change(&in)
	r, ok := Make(in).Find(netip.MustParsePrefix("10.244.2.0/24"))
	if !ok {
		t.Fatal("no route")
	}
	return r
}

func TestThePathIsTheFirstThatIsProven(t *testing.T) {
	b := plantest.Node("b", peers.Alive, 2)
	far := func(netip.Addr) (string, config.MAC, string) { return "", nil, "behind router 192.0.2.254" }
	failed := Proof{State: Failed, Why: "3 probes lost"}
	for _, c := range []struct {
		name    string
		n       peers.NodeInfo
		backend []Path
		change  func(*Input)
		want    Path // "": unreachable
		lanes   route.Kind
		why     string // the end of the reason
	}{
		{"nothing was chosen", taking(b, PathUDP), nil, nil, PathUDP, route.Via, "the node holds the lease and is alive"},
		{"all is proven", taking(b, everything...), everything, nil, PathDirect, route.Via, "and is alive; by direct"},
		{"the order counts", taking(b, everything...), []Path{PathIPIP, PathVXLAN, PathUDP}, nil, PathIPIP, route.Via, "; by ipip"},
		{"behind a router", taking(b, everything...), everything, func(in *Input) { in.Near = far }, PathVXLAN, route.Via, "; by vxlan; not direct (behind router 192.0.2.254)"},
		{"neighbors are not known", taking(b, everything...), everything, func(in *Input) { in.Near = nil }, PathVXLAN, route.Via, "not direct (this host does not know its neighbors)"},
		{"of an earlier release", b, everything, nil, PathUDP, route.Via, "; by udp; not direct (the node does not take it), vxlan (the node does not take it), ipip (the node does not take it)"},
		{"the peer is by udp alone", taking(b, PathUDP), []Path{PathVXLAN, PathUDP}, nil, PathUDP, route.Via, "; by udp; not vxlan (the node does not take it)"},
		{"another VNI", with(b, func(n *peers.NodeInfo) { n.Caps = Announced([]Path{PathVXLAN, PathUDP}, 8472, 7, nil) }), []Path{PathVXLAN, PathUDP}, nil,
			PathUDP, route.Via, "not vxlan (the node has VNI 7, this one 1 (--vxlan-vni))"},
		{"no module", taking(b, everything...), []Path{PathIPIP, PathUDP}, func(in *Input) {
			in.Unavailable = func(p Path) string { return "module " + string(p) + " is missing" }
		}, PathUDP, route.Via, "not ipip (not available on this host: module ipip is missing)"},
		{"nothing is proven yet", taking(b, everything...), everything, func(in *Input) { in.Proof = nil }, PathUDP, route.Via, "; by udp; not direct (unproven), vxlan (unproven), ipip (unproven)"},
		{"one has failed, one is not proven", taking(b, everything...), everything, func(in *Input) {
			in.Proof = proofs(map[Path]Proof{PathDirect: failed, PathVXLAN: {Why: "2 of 3 probes answered"}, PathIPIP: {State: Proven}})
		}, PathIPIP, route.Via, "; by ipip; not direct (3 probes lost), vxlan (2 of 3 probes answered)"},
		{"udp needs no proof", taking(b, everything...), []Path{PathUDP, PathVXLAN}, func(in *Input) {
			in.Proof = proofs(map[Path]Proof{PathUDP: failed, PathVXLAN: {State: Proven}})
		}, PathUDP, route.Via, "; by udp, 3 probes lost"},
		{"the only one, not proven yet", taking(b, everything...), []Path{PathVXLAN}, func(in *Input) { in.Proof = nil }, PathVXLAN, route.Unreachable, "; by vxlan"},
		{"the only one has failed", taking(b, everything...), []Path{PathVXLAN}, func(in *Input) { in.Proof = proofs(map[Path]Proof{PathVXLAN: failed}) },
			"", route.Unreachable, "alive, but no path leads to it: vxlan (3 probes lost): packets are answered with ICMP host unreachable"},
		{"the only one is not the peer's", taking(b, PathUDP), []Path{PathVXLAN}, nil, "", route.Unreachable, "no path leads to it: vxlan (the node does not take it): packets are answered with ICMP host unreachable"},
		{"the peer has no other", taking(b, PathVXLAN), []Path{PathDirect, PathVXLAN, PathUDP}, func(in *Input) { in.Proof = nil }, PathVXLAN, route.Unreachable,
			"; by vxlan; not direct (the node does not take it)"},
		{"the peer has no other, and it has failed", taking(b, PathVXLAN), []Path{PathVXLAN, PathUDP}, func(in *Input) { in.Proof = proofs(map[Path]Proof{PathVXLAN: failed}) }, "", route.Unreachable,
			"no path leads to it: vxlan (3 probes lost), udp (the node does not take it): packets are answered with ICMP host unreachable"},
		{"loopback", taking(b, everything...), everything, func(in *Input) { in.Loopback = true }, PathUDP, route.Via, "not direct (the underlay is the loopback interface), vxlan (the underlay is the loopback interface), ipip (the underlay is the loopback interface)"},
		{"on this host", with(taking(b, everything...), endpoint("192.0.2.1:9")), []Path{PathVXLAN, PathUDP}, nil, PathUDP, route.Via, "not vxlan (the peer is on this host)"},
		{"dead", taking(plantest.Node("b", peers.Dead, 2), everything...), everything, func(in *Input) { in.Proof = nil },
			"", route.Unreachable, "and is dead: packets are answered with ICMP host unreachable until it is back"},
		{"dead, and udp was used", taking(plantest.Node("b", peers.Dead, 2), everything...), []Path{PathUDP}, nil,
			"", route.Unreachable, "and is dead: packets are answered with ICMP host unreachable until it is back"},
		{"its daemon is dead, its kernel answers", taking(plantest.Node("b", peers.Dead, 2), everything...), everything, func(in *Input) {
			in.Proof = proofs(map[Path]Proof{PathDirect: failed, PathVXLAN: {State: Proven}})
		}, PathVXLAN, route.Unreachable, "its daemon is dead, but its kernel answers; by vxlan"},
		{"its host is dead", taking(plantest.Node("b", peers.Dead, 2), everything...), everything, func(in *Input) {
			in.Proof = proofs(map[Path]Proof{PathDirect: failed, PathVXLAN: failed})
		}, "", route.Unreachable, "and is dead: packets are answered with ICMP host unreachable until it is back"},
		{"dead, but not met yet", taking(plantest.Node("b", peers.Dead, 2), everything...), everything, func(in *Input) {
			in.Unseen = func(id peers.NodeID) bool { return true }
		}, PathDirect, route.Via, "routed by the table on disk; by direct"},
	} {
		r := routeTo(t, c.n, func(in *Input) {
			in.Backend = c.backend
			if c.change != nil {
				c.change(in)
			}
		})
		kind := route.Via
		if c.want == "" {
			kind = route.Unreachable
		}
		if r.Kind != kind || r.Path != c.want || r.Lanes() != c.lanes || !strings.HasSuffix(r.Why, c.why) {
			t.Errorf("%s: %s by %q, lanes %s, because %s", c.name, r.Kind, r.Path, r.Lanes(), r.Why)
		}
	}
}

// What others need to send is in the plan.
func TestCandidatesSayWhereTheirPacketsGo(t *testing.T) {
	b := taking(plantest.Node("b", peers.Alive, 2), everything...)
	b.Caps = Announced(everything, 4789, 1, nil)
	r := routeTo(t, b, func(in *Input) { in.Backend = everything })
	at := netip.MustParseAddr("192.0.2.2")
	want := []Candidate{
		{Path: PathDirect, Endpoint: at, MAC: config.MAC{2, 0, 0, 0, 0, 2}, Possible: true, State: Proven, Used: true},
		{Path: PathVXLAN, Endpoint: at, Port: 4789, MAC: MACOf(b.ID), Possible: true, State: Proven},
		{Path: PathIPIP, Endpoint: at, Possible: true, State: Proven},
		{Path: PathUDP, Endpoint: at, Port: 8285, Possible: true, Shortcut: Shortcut{Why: ShortcutOff}},
	}
	if !reflect.DeepEqual(r.Candidates, want) {
		t.Errorf("got  %+v\nwant %+v", r.Candidates, want)
	}
}

func TestMACsFollowFromNodeIDs(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		mac := MACOf(plantest.Node(id, peers.Alive, 1).ID)
		if len(mac) != 6 || mac[0]&1 != 0 || mac[0]&2 == 0 || seen[mac.String()] {
			t.Errorf("%s: %s", id, mac)
		}
		seen[mac.String()] = true
	}
}

// One MAC belongs to one host: the first in the plan keeps it.
func TestAMACIsUsedForOnePeer(t *testing.T) {
	b := taking(plantest.Node("b", peers.Alive, 2), PathVXLAN, PathUDP)
	for mac, want := range map[string]string{
		MACOf(b.ID).String():                        "host-b has its MAC",
		MACOf(plantest.Node("a", 0, 1).ID).String(): "this node has its MAC",
		"02:00:00:00:00:01":                         "",
	} {
		p := Make(Input{
			Snapshot: plantest.Snapshot(peers.Confirmed, b), Backend: []Path{PathVXLAN, PathUDP}, VNI: 1,
			Static: plantest.StaticPeers(t, "10.244.9.0/24=vxlan:192.0.2.9:8472/"+mac),
		})
		r, ok := p.Find(netip.MustParsePrefix("10.244.9.0/24"))
		if !ok || (r.Kind == route.Via) != (want == "") || !strings.Contains(r.Why, want) {
			t.Errorf("%s: %+v", mac, r)
		}
	}
}

// Hosts behind one address are told apart by the port of their datagrams alone.
func TestNodesThatShareAnAddressAreReachedByUDP(t *testing.T) {
	b := taking(plantest.Node("b", peers.Alive, 2), everything...)
	c := with(taking(plantest.Node("c", peers.Alive, 3), everything...), endpoint("192.0.2.2:9"))
	for state, want := range map[peers.State]Path{peers.Alive: PathUDP, peers.Suspect: PathUDP, peers.Dead: PathDirect} {
		c.State = state
		r := routeTo(t, b, func(in *Input) {
			in.Snapshot, in.Backend = plantest.Snapshot(peers.Confirmed, b, c), everything
		})
		if r.Path != want || want == PathUDP && !strings.Contains(r.Why, "another node is at 192.0.2.2, too") {
			t.Errorf("beside a node that is %s: by %s, because %s", state, r.Path, r.Why)
		}
	}
}

func TestAStaticPeerHasOnePath(t *testing.T) {
	failed := proofs(map[Path]Proof{PathVXLAN: {State: Failed, Why: "3 probes lost"}, PathDirect: {State: Failed}, PathIPIP: {State: Failed}})
	for _, c := range []struct {
		text    string
		backend []Path
		change  func(*Input)
		kind    route.Kind
		path    Path
		lanes   route.Kind
		why     string
	}{
		{"192.0.2.9:8285", everything, nil, route.Via, PathUDP, route.Via, "given with --static-peer"},
		{"192.0.2.9:8285", []Path{PathVXLAN}, nil, route.Via, PathUDP, route.Via, "given with --static-peer"},
		{"vxlan:192.0.2.9:8472/02:00:00:00:00:09", []Path{PathVXLAN}, nil, route.Via, PathVXLAN, route.Unreachable, "given with --static-peer; by vxlan"},
		{"host-gw:192.0.2.9", everything, nil, route.Via, PathDirect, route.Unreachable, "; by direct"},
		{"ipip:192.0.2.9", everything, nil, route.Via, PathIPIP, route.Unreachable, "; by ipip"},
		// The host may leave probes without an answer.
		{"vxlan:192.0.2.9:8472/02:00:00:00:00:09", everything, func(in *Input) { in.Proof = failed }, route.Via, PathVXLAN, route.Unreachable, "; by vxlan, 3 probes lost"},
		{"host-gw:192.0.2.9", everything, func(in *Input) {
			in.Near = func(netip.Addr) (string, config.MAC, string) { return "", nil, "behind router 192.0.2.254" }
		}, route.Unreachable, "", route.Unreachable, "given with --static-peer, but no path leads to it: direct (behind router 192.0.2.254): packets are answered with ICMP host unreachable"},
		{"ipip:192.0.2.9", []Path{PathUDP}, nil, route.Unreachable, "", route.Unreachable, "no path leads to it: ipip (--backend has no ipip): packets are answered with ICMP host unreachable"},
		{"ipip:192.0.2.1", everything, nil, route.Unreachable, "", route.Unreachable, "no path leads to it: ipip (the peer is on this host): packets are answered with ICMP host unreachable"},
	} {
		in := Input{Snapshot: plantest.Snapshot(peers.Confirmed), Backend: c.backend, Near: near, Static: plantest.StaticPeers(t, "10.244.9.0/24="+c.text)}
		if c.change != nil {
			c.change(&in)
		}
		r, ok := Make(in).Find(netip.MustParsePrefix("10.244.9.0/24"))
		if !ok || r.Kind != c.kind || r.Path != c.path || r.Lanes() != c.lanes || !strings.HasSuffix(r.Why, c.why) {
			t.Errorf("%s: %s by %q, lanes %s, because %s", c.text, r.Kind, r.Path, r.Lanes(), r.Why)
		}
	}
	p := Make(Input{Snapshot: plantest.Snapshot(peers.Confirmed), Backend: everything, Static: plantest.StaticPeers(t, "10.244.9.0/24=ipip:127.0.0.1")})
	if len(p.Routes) != 1 || len(p.Notes) != 1 {
		t.Errorf("by loopback: %+v", p)
	}
}

// anyPaths adds backend lists, proofs and neighbors of every kind to an input.
func anyPaths(random *rand.Rand, in *Input) {
	for _, i := range random.Perm(len(everything))[:random.IntN(len(everything)+1)] {
		in.Backend = append(in.Backend, everything[i])
	}
	in.VNI = 1
	seed, key := random.Uint64(), random.Uint64()
	roll := func(text string, sides int) int { // the same for one text
		random := rand.New(rand.NewPCG(seed, key))
		for _, b := range []byte(text) {
			random = rand.New(rand.NewPCG(random.Uint64(), uint64(b)))
		}
		return random.IntN(sides)
	}
	in.Proof = func(id string, p Path) Proof { return Proof{State: ProofState(roll(id+string(p), 3))} }
	in.Near = func(a netip.Addr) (string, config.MAC, string) {
		if roll(a.String(), 3) == 0 {
			return "", nil, "behind a router"
		}
		return near(a)
	}
	in.Unavailable = func(p Path) string {
		return []string{"", "", "", "", "module is missing"}[roll(string(p), 5)]
	}
	for i := range in.Snapshot.Nodes {
		n := &in.Snapshot.Nodes[i]
		switch random.IntN(4) {
		case 0:
			n.Caps = []peers.Capability{{Number: 3, Param: []byte{1}}, {Number: 999}}
		case 1:
			n.Caps = Announced(everything, uint16(random.IntN(3)), uint32(1+random.IntN(2)), in.Unavailable)
		case 2:
			n.Caps = Announced(everything[:1+random.IntN(3)], 8472, 1, nil)
		}
	}
	for i := range in.Static {
		s := &in.Static[i]
		switch random.IntN(4) {
		case 0:
			s.Path, s.MAC = PathVXLAN, config.MAC{2, 0, 0, 0, 0, byte(random.IntN(4))}
		case 1:
			s.Path, s.Endpoint = PathDirect, netip.AddrPortFrom(s.Endpoint.Addr(), 0)
		}
	}
}

// Whatever is known of paths, a peer is reached by the best one that is proven,
// and no failed path carries a member's packets.
func TestEveryChoiceIsTheBest(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	counts := map[Path]int{}
	for round := range 3000 {
		in := anyInput(random)
		anyPaths(random, &in)
		for _, r := range Make(in).Routes {
			counts[r.Path]++
			used := slices.IndexFunc(r.Candidates, func(c Candidate) bool { return c.Used })
			if (used >= 0) != (r.Kind == route.Via) || used >= 0 && (r.Candidates[used].Path != r.Path || !r.Candidates[used].Possible) || used < 0 && r.Path != "" {
				t.Fatalf("round %d: %+v", round, r)
			}
			for i, c := range r.Candidates {
				better := used < 0 || i < used
				switch {
				case !c.Possible && (c.Why == "" || c.State != Unproven):
					t.Fatalf("round %d: %+v", round, c)
				case better && c.Possible && (c.State == Proven || c.Path == PathUDP):
					t.Fatalf("round %d: %s is passed over: %+v", round, c.Path, r)
				case c.Used && c.State == Failed && c.Path.Kernel() && !r.Node.IsZero():
					t.Fatalf("round %d: failed, and used: %+v", round, r)
				case c.Path.Kernel() && c.Possible && (c.Path != PathIPIP && len(c.MAC) != 6 || c.Path == PathVXLAN && c.Port == 0 || !c.Endpoint.Is4()):
					t.Fatalf("round %d: %+v cannot be sent to", round, c)
				}
			}
			if r.Lanes() == route.Via && (!r.Endpoint.Addr().Is4() || r.Endpoint.Port() == 0) {
				t.Fatalf("round %d: datagrams to %s: %+v", round, r.Endpoint, r)
			}
		}
	}
	for _, p := range append([]Path{""}, everything...) {
		if counts[p] == 0 {
			t.Errorf("no route by %q was tried", p)
		}
	}
}
