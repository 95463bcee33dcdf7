package daemon

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"flanneld/internal/config"
	"flanneld/peers"
	"flanneld/route"
)

var (
	network = netip.MustParsePrefix("10.244.0.0/16")
	land    = terrain{network: network, self: netip.MustParseAddrPort("192.0.2.1:8285"), unmet: func(string) bool { return false }}
)

// node makes a node table line: node("b", peers.Alive, 2) has 10.244.2.0/24 and
// 192.0.2.2:8285.
func node(id string, state peers.State, n byte) peers.NodeInfo {
	return peers.NodeInfo{
		ID: id, Name: "host-" + id, State: state, MTU: 1472,
		Lease:    peers.Lease{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, n, 0}), 24)},
		Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 8285),
	}
}

func self(lease peers.LeaseState, others ...peers.NodeInfo) *peers.Snapshot {
	me := node("a", peers.Alive, 1)
	me.Self = true
	return &peers.Snapshot{
		Network: peers.Network{Prefix: network}, Self: me, Lease: lease, Nodes: append([]peers.NodeInfo{me}, others...),
	}
}

// brief writes hops so that a test can be read: "10.244.2.0/24 via host-b".
func brief(hops []hop) []string {
	var out []string
	for _, h := range hops {
		text := h.prefix.String() + " " + h.kind.String()
		if h.kind != route.Local {
			text += " " + h.name
		}
		if h.kind == route.Via {
			text += " " + h.endpoint.String()
		}
		out = append(out, text)
	}
	return out
}

func with(n peers.NodeInfo, change func(*peers.NodeInfo)) peers.NodeInfo {
	change(&n)
	return n
}

func endpoint(text string) func(*peers.NodeInfo) {
	return func(n *peers.NodeInfo) { n.Endpoint = netip.MustParseAddrPort(text) }
}

func TestRoutesFollowTheNodeTable(t *testing.T) {
	conflicting := self(peers.Confirmed, node("b", peers.Alive, 2), with(node("c", peers.Alive, 2), endpoint("192.0.2.3:8285")))
	conflicting.Conflicts = []peers.Conflict{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), Winner: "c", Loser: "b"}}
	const own = "10.244.1.0/24 local"
	for _, c := range []struct {
		name  string
		s     *peers.Snapshot
		want  []string
		noted []string // node IDs
	}{
		{"nothing is known", &peers.Snapshot{}, nil, nil},
		{"alone", self(peers.Confirmed), []string{own}, nil},
		{"the own lease is not confirmed yet", self(peers.Announcing, node("b", peers.Alive, 2)), []string{"10.244.2.0/24 via host-b 192.0.2.2:8285"}, nil},
		{"the own lease is lost", self(peers.Lost), nil, nil},
		{"alive, suspect, dead, left", self(peers.Confirmed, node("b", peers.Alive, 2), node("c", peers.Suspect, 3), node("d", peers.Dead, 4), node("e", peers.Left, 5)),
			[]string{own, "10.244.2.0/24 via host-b 192.0.2.2:8285", "10.244.3.0/24 via host-c 192.0.2.3:8285", "10.244.4.0/24 unreachable host-d"}, nil},
		{"without a lease", self(peers.Confirmed, with(node("b", peers.Alive, 2), func(n *peers.NodeInfo) { n.Lease = peers.Lease{} })), []string{own}, nil},
		{"the loser of a conflict is not routed", conflicting, []string{own, "10.244.2.0/24 via host-c 192.0.2.3:8285"}, nil},
		{"two claim a subnet and no conflict is told yet", self(peers.Confirmed, node("b", peers.Alive, 2), with(node("c", peers.Alive, 2), endpoint("192.0.2.3:8285"))),
			[]string{own, "10.244.2.0/24 via host-b 192.0.2.2:8285"}, []string{"c"}},
		{"endpoint in the overlay", self(peers.Confirmed, with(node("b", peers.Alive, 2), endpoint("10.244.9.9:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint on loopback", self(peers.Confirmed, with(node("b", peers.Alive, 2), endpoint("127.0.0.1:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint multicast", self(peers.Confirmed, with(node("b", peers.Alive, 2), endpoint("224.0.0.1:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint broadcast", self(peers.Confirmed, with(node("b", peers.Alive, 2), endpoint("255.255.255.255:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint unspecified", self(peers.Confirmed, with(node("b", peers.Alive, 2), endpoint("0.0.0.0:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint without a port", self(peers.Confirmed, with(node("b", peers.Alive, 2), endpoint("192.0.2.2:0"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint is ours", self(peers.Confirmed, with(node("b", peers.Alive, 2), endpoint("192.0.2.1:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"another port on our address", self(peers.Confirmed, with(node("b", peers.Alive, 2), endpoint("192.0.2.1:9"))), []string{own, "10.244.2.0/24 via host-b 192.0.2.1:9"}, nil},
	} {
		hops, notes := plan(c.s, nil, land)
		if got := brief(hops); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
		if len(notes) != len(c.noted) {
			t.Errorf("%s: notes %v, want some on %v", c.name, notes, c.noted)
		}
		for _, id := range c.noted {
			if notes[id] == "" {
				t.Errorf("%s: notes %v, want one on %s", c.name, notes, id)
			}
		}
	}
}

func TestEndpointsOnLoopbackAreFineWhenTheUnderlayIs(t *testing.T) {
	s := self(peers.Confirmed, with(node("b", peers.Alive, 2), endpoint("127.0.0.2:8285")))
	hops, notes := plan(s, nil, terrain{network: network, self: land.self, loopback: true, unmet: land.unmet})
	if len(hops) != 2 || hops[1].kind != route.Via || len(notes) != 0 {
		t.Errorf("got %v, %v", brief(hops), notes)
	}
}

func TestStaticPeersAreRoutedUnlessANodeHoldsTheirAddresses(t *testing.T) {
	static := func(text string) config.StaticPeer {
		p, err := config.ParseStaticPeer(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	free, held := static("10.244.9.0/24=192.0.2.9:8285"), static("10.244.2.128/25=192.0.2.8:8285")
	hops, notes := plan(self(peers.Confirmed, node("b", peers.Dead, 2)), []config.StaticPeer{free, held}, land)
	want := []string{"10.244.1.0/24 local", "10.244.2.0/24 unreachable host-b", "10.244.9.0/24 via 192.0.2.9 192.0.2.9:8285"}
	if got := brief(hops); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !strings.Contains(notes[held.String()], "host-b holds 10.244.2.0/24") || notes[free.String()] != "" {
		t.Errorf("notes: %v", notes)
	}
	// The node has gone: the static peer has its addresses.
	hops, notes = plan(self(peers.Confirmed), []config.StaticPeer{held}, land)
	if len(hops) != 2 || hops[1].kind != route.Via || len(notes) != 0 {
		t.Errorf("got %v, %v", brief(hops), notes)
	}
}

// Whatever the plan is, the forwarder's table takes it.
func TestEveryPlanFitsTheTable(t *testing.T) {
	s := self(peers.Confirmed, node("b", peers.Alive, 2), node("c", peers.Alive, 2), node("d", peers.Dead, 4),
		with(node("e", peers.Alive, 5), endpoint("127.0.0.1:1")), with(node("f", peers.Dead, 6), func(n *peers.NodeInfo) { n.Endpoint = netip.AddrPort{} }))
	hops, _ := plan(s, nil, land)
	var table route.Table
	var feed route.Feed
	feed.Add(&table)
	if err := feed.Store(directory{}.entries(hops, func(string) bool { return true })); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]route.Kind{"10.244.1.9": route.Local, "10.244.2.9": route.Via, "10.244.4.9": route.Unreachable, "10.244.5.9": route.Unreachable, "10.244.6.9": route.Unreachable} {
		if next, ok := table.Lookup(netip.MustParseAddr(address)); !ok || next.Kind != want {
			t.Errorf("%s: %v, want %v", address, next.Kind, want)
		}
	}
}

func TestPeerObjectsOutliveChangesOfRoutes(t *testing.T) {
	d := directory{}
	entry := func(state peers.State, change ...func(*peers.NodeInfo)) *route.Peer {
		n := node("b", state, 2)
		for _, c := range change {
			c(&n)
		}
		hops, _ := plan(self(peers.Confirmed, n), nil, land)
		for _, e := range d.entries(hops, func(id string) bool { return id == "b" }) {
			if e.Peer != nil {
				return e.Peer
			}
		}
		return d["b"]
	}
	first := entry(peers.Alive)
	if entry(peers.Dead) != first || entry(peers.Alive, endpoint("192.0.2.77:9")) != first {
		t.Error("another object for the same node")
	}
	if first.Endpoint() != netip.MustParseAddrPort("192.0.2.77:9") {
		t.Errorf("endpoint %v", first.Endpoint())
	}
	if entry(peers.Left); d["b"] != first {
		t.Error("given up while the node is in the table still")
	}
	if d.entries(nil, func(string) bool { return false }); len(d) != 0 {
		t.Errorf("kept %v of nodes nobody knows any more", d)
	}
}

// After a restart the table on disk is all there is, for as long as gossip has
// met nobody, and a little longer.
func TestNodesOnDiskAreRoutedUntilGossipKnowsBetter(t *testing.T) {
	var a acquaintance
	kinds := func(s *peers.Snapshot) (b, c route.Kind) {
		a.meet(s)
		ground := land
		ground.unmet = a.unmet
		hops, _ := plan(s, nil, ground)
		return hops[1].kind, hops[2].kind
	}
	b, c := node("b", peers.Dead, 2), node("c", peers.Dead, 3)
	if kb, kc := kinds(self(peers.Confirmed, b, c)); kb != route.Via || kc != route.Via {
		t.Errorf("nobody met: %v, %v", kb, kc)
	}
	if a.ending != nil {
		t.Error("the time to meet runs before anybody was met")
	}
	b.State = peers.Alive
	if kb, kc := kinds(self(peers.Confirmed, b, c)); kb != route.Via || kc != route.Via || a.ending == nil {
		t.Errorf("one met: %v, %v", kb, kc)
	}
	b.State = peers.Dead
	if kb, kc := kinds(self(peers.Confirmed, b, c)); kb != route.Unreachable || kc != route.Via {
		t.Errorf("it died, the other was not met yet: %v, %v", kb, kc)
	}
	a.end()
	if kb, kc := kinds(self(peers.Confirmed, b, c)); kb != route.Unreachable || kc != route.Unreachable {
		t.Errorf("the time to meet is over: %v, %v", kb, kc)
	}
}
