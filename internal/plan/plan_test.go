// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
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

func with(n peers.NodeInfo, change func(*peers.NodeInfo)) peers.NodeInfo {
	change(&n)
	return n
}

func endpoint(text string) func(*peers.NodeInfo) {
	return func(n *peers.NodeInfo) { n.Endpoint = netip.MustParseAddrPort(text) }
}

func static(t *testing.T, texts ...string) (all []config.StaticPeer) {
	t.Helper()
	for _, text := range texts {
		s, err := config.ParseStaticPeer(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// brief writes routes so that a test can be read: "10.244.2.0/24 via host-b".
func brief(p Plan) []string {
	var out []string
	for _, r := range p.Routes {
		text := r.Prefix.String() + " " + r.Kind.String()
		if r.Kind != route.Local {
			text += " " + r.Name
		}
		if r.Kind == route.Via {
			text += " " + r.Endpoint.String()
		}
		out = append(out, text)
	}
	return out
}

const own = "10.244.1.0/24 local"

func TestRoutesFollowTheNodeTable(t *testing.T) {
	conflicting := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), with(plantest.Node("c", peers.Alive, 2), endpoint("192.0.2.3:8285")))
	conflicting.Conflicts = []peers.Conflict{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), Winner: plantest.ID("c"), Loser: plantest.ID("b")}}
	for _, c := range []struct {
		name  string
		s     *peers.Snapshot
		want  []string
		noted []string // node IDs
	}{
		{"nothing is known", &peers.Snapshot{}, nil, nil},
		{"alone", plantest.Snapshot(peers.Confirmed), []string{own}, nil},
		{"the own lease is not confirmed yet", plantest.Snapshot(peers.Announcing, plantest.Node("b", peers.Alive, 2)), []string{"10.244.2.0/24 via host-b 192.0.2.2:8285"}, nil},
		{"the own lease is lost", plantest.Snapshot(peers.Lost), nil, nil},
		{"alive, suspect, dead, left", plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Suspect, 3), plantest.Node("d", peers.Dead, 4), plantest.Node("e", peers.Left, 5)),
			[]string{own, "10.244.2.0/24 via host-b 192.0.2.2:8285", "10.244.3.0/24 via host-c 192.0.2.3:8285", "10.244.4.0/24 unreachable host-d"}, nil},
		{"without a lease", plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Alive, 2), func(n *peers.NodeInfo) { n.Lease = peers.Lease{} })), []string{own}, nil},
		{"the loser of a conflict is not routed", conflicting, []string{own, "10.244.2.0/24 via host-c 192.0.2.3:8285"}, nil},
		{"two claim a subnet before a conflict is reported", plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), with(plantest.Node("c", peers.Alive, 2), endpoint("192.0.2.3:8285"))),
			[]string{own, "10.244.2.0/24 via host-b 192.0.2.2:8285"}, []string{"c"}},
		{"endpoint in the overlay", plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Alive, 2), endpoint("10.244.9.9:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint on loopback", plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Alive, 2), endpoint("127.0.0.1:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint multicast", plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Alive, 2), endpoint("224.0.0.1:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint broadcast", plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Alive, 2), endpoint("255.255.255.255:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint unspecified", plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Alive, 2), endpoint("0.0.0.0:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint without a port", plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Alive, 2), endpoint("192.0.2.2:0"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"endpoint is ours", plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Alive, 2), endpoint("192.0.2.1:8285"))), []string{own, "10.244.2.0/24 unreachable host-b"}, []string{"b"}},
		{"another port on our address", plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Alive, 2), endpoint("192.0.2.1:9"))), []string{own, "10.244.2.0/24 via host-b 192.0.2.1:9"}, nil},
	} {
		p := Make(Input{Snapshot: c.s})
		if got := brief(p); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
		if len(p.Notes) != len(c.noted) {
			t.Errorf("%s: notes %v, want some on %v", c.name, p.Notes, c.noted)
		}
		for _, id := range c.noted {
			if note := p.Notes[plantest.Key(id)]; note.Text == "" || note.Expected {
				t.Errorf("%s: notes %v, want one on %s", c.name, p.Notes, id)
			}
		}
	}
}

// Every route says how packets travel, and why.
func TestARouteSaysItsPathAndReason(t *testing.T) {
	p := Make(Input{
		Snapshot: plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 3),
			with(plantest.Node("d", peers.Suspect, 4), endpoint("127.0.0.1:1")), plantest.Node("e", peers.Dead, 5)),
		Static: static(t, "10.244.9.0/24=192.0.2.9:8285"),
		Unseen: func(id peers.NodeID) bool { return id == plantest.ID("e") },
	})
	for prefix, want := range map[string]struct {
		path Path
		live bool
		why  string
	}{
		"10.244.1.0/24": {"", true, "in this node's own lease: the host's own routing decides (docker0 and the other bridges in it)"},
		"10.244.2.0/24": {PathUDP, true, "the node holds the lease and is alive"},
		"10.244.3.0/24": {"", false, "the node holds the lease and is dead: packets are answered with ICMP host unreachable until it is back"},
		"10.244.4.0/24": {"", true, "the node holds the lease, but endpoint 127.0.0.1:1 is a loopback address: packets are answered with ICMP host unreachable"},
		"10.244.5.0/24": {PathUDP, false, "the node holds the lease and was not met since this start; routed by the table on disk"},
		"10.244.9.0/24": {PathUDP, true, "given with --static-peer"},
	} {
		r, ok := p.Find(netip.MustParsePrefix(prefix))
		if !ok || r.Path != want.path || r.Live != want.live || r.Why != want.why {
			t.Errorf("%s: %+v, want %+v", prefix, r, want)
		}
	}
	if _, ok := p.Find(netip.MustParsePrefix("10.244.2.0/25")); ok {
		t.Error("found a prefix that has no route")
	}
}

func TestEndpointsOnLoopbackAreFineWhenTheUnderlayIs(t *testing.T) {
	s := plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Alive, 2), endpoint("127.0.0.2:8285")))
	p := Make(Input{Snapshot: s, Loopback: true})
	if len(p.Routes) != 2 || p.Routes[1].Kind != route.Via || len(p.Notes) != 0 {
		t.Errorf("got %v, %v", brief(p), p.Notes)
	}
}

func TestStaticPeersAreRoutedUnlessANodeHoldsTheirAddresses(t *testing.T) {
	list := static(t, "10.244.9.0/24=192.0.2.9:8285", "10.244.2.128/25=192.0.2.8:8285")
	free, held := list[0], list[1]
	p := Make(Input{Snapshot: plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Dead, 2)), Static: list})
	want := []string{own, "10.244.2.0/24 unreachable host-b", "10.244.9.0/24 via 192.0.2.9 192.0.2.9:8285"}
	if got := brief(p); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !strings.Contains(p.Notes[held.String()].Text, "host-b holds 10.244.2.0/24") || p.Notes[free.String()].Text != "" {
		t.Errorf("notes: %v", p.Notes)
	}
	// The node has gone: the static peer has its addresses.
	p = Make(Input{Snapshot: plantest.Snapshot(peers.Confirmed), Static: list[1:]})
	if len(p.Routes) != 2 || p.Routes[1].Kind != route.Via || len(p.Notes) != 0 {
		t.Errorf("got %v, %v", brief(p), p.Notes)
	}
}

func TestAStaticPeerWithoutAUsableEndpointIsNotRouted(t *testing.T) {
	p := Make(Input{Snapshot: plantest.Snapshot(peers.Confirmed), Static: static(t, "10.244.9.0/24=10.244.1.9:8285")})
	if len(p.Routes) != 1 || !strings.Contains(p.Notes["10.244.9.0/24=10.244.1.9:8285"].Text, "inside the network") {
		t.Errorf("got %v, %v", brief(p), p.Notes)
	}
}

// A host that is moved from flannel is a static peer until it is a live member,
// and again when it is moved back.
func TestAStaticPeerGivesWayToItsHostWhileThatIsALiveMember(t *testing.T) {
	list := static(t, "10.244.2.0/24=192.0.2.2:8285")
	const asNode, asStatic = "10.244.2.0/24 via host-b 192.0.2.2:8285", "10.244.2.0/24 via 192.0.2.2 192.0.2.2:8285"
	for _, c := range []struct {
		state peers.State
		want  string
	}{
		{peers.Alive, asNode}, {peers.Suspect, asNode}, {peers.Dead, asStatic}, {peers.Left, asStatic},
	} {
		p := Make(Input{Snapshot: plantest.Snapshot(peers.Confirmed, plantest.Node("b", c.state, 2)), Static: list})
		for id, note := range p.Notes {
			if !note.Expected {
				t.Errorf("%s: note on %s: %q, want one of a move", c.state, id, note.Text)
			}
		}
		if got := brief(p); !reflect.DeepEqual(got, []string{own, c.want}) {
			t.Errorf("%s: got %v, want %s", c.state, got, c.want)
		}
	}
	// Another node's dead holder is not the static peer.
	p := Make(Input{Snapshot: plantest.Snapshot(peers.Confirmed, with(plantest.Node("b", peers.Dead, 2), endpoint("192.0.2.3:8285"))), Static: list})
	if got := brief(p); !reflect.DeepEqual(got, []string{own, "10.244.2.0/24 unreachable host-b"}) {
		t.Errorf("got %v", got)
	}
}

func TestAPrefixCutsOffTheRoutesThatItHasAddressesOf(t *testing.T) {
	p := Make(Input{Snapshot: plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 200))})
	for prefix, want := range map[string]string{
		"10.244.0.0/16": "host-b host-c", "10.244.128.0/17": "host-c", "10.244.2.7/32": "host-b", "10.244.3.0/24": "", "10.244.1.0/25": "",
	} {
		var got []string
		for _, r := range p.CutOff(netip.MustParsePrefix(prefix)) {
			got = append(got, r.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s cuts off %v, want %q", prefix, got, want)
		}
	}
}

// anyInput makes an input with every kind of trouble in it.
func anyInput(random *rand.Rand) Input {
	s := plantest.Snapshot(peers.LeaseState(random.IntN(6)))
	unseen := map[peers.NodeID]bool{}
	for i := range random.IntN(30) {
		n := plantest.Node(fmt.Sprintf("n%02d", i), peers.State(random.IntN(4)), byte(2+random.IntN(25)))
		switch random.IntN(8) {
		case 0:
			n.Endpoint = netip.AddrPort{}
		case 1:
			n.Endpoint = netip.MustParseAddrPort("127.0.0.1:8285")
		case 2:
			n.Lease = peers.Lease{}
		case 3:
			n.Name = "twin"
		case 4:
			s.Conflicts = append(s.Conflicts, peers.Conflict{Prefix: n.Lease.Prefix, Winner: plantest.ID("n00"), Loser: n.ID})
		}
		unseen[n.ID] = random.IntN(2) == 0
		s.Nodes = append(s.Nodes, n)
	}
	in := Input{Snapshot: s, Loopback: random.IntN(4) == 0, Unseen: func(id peers.NodeID) bool { return unseen[id] }}
	for i := range random.IntN(10) { // config refuses overlapping ones
		host := netip.AddrFrom4([4]byte{192, 0, 2, byte(2 + random.IntN(25))})
		in.Static = append(in.Static, config.StaticPeer{
			Subnet:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(20 + i), 0}), 24),
			Endpoint: netip.AddrPortFrom(host, 8285),
		})
	}
	return in
}

// Nodes that hold the same snapshot make the same plan, whatever order its
// lists are in; and making one changes nothing.
func TestTheSameInputMakesTheSamePlanInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		in := anyInput(random)
		anyPaths(random, &in)
		before := slices.Clone(in.Snapshot.Nodes)
		first := Make(in)
		if again := Make(in); !reflect.DeepEqual(first, again) {
			t.Fatalf("round %d: two plans of one input:\n%+v\n%+v", round, first, again)
		}
		if !reflect.DeepEqual(before, in.Snapshot.Nodes) {
			t.Fatalf("round %d: the snapshot was changed", round)
		}
		shuffled := *in.Snapshot
		shuffled.Nodes, shuffled.Conflicts = slices.Clone(shuffled.Nodes), slices.Clone(shuffled.Conflicts)
		static := slices.Clone(in.Static)
		random.Shuffle(len(shuffled.Nodes), func(i, j int) {
			shuffled.Nodes[i], shuffled.Nodes[j] = shuffled.Nodes[j], shuffled.Nodes[i]
		})
		random.Shuffle(len(shuffled.Conflicts), func(i, j int) {
			shuffled.Conflicts[i], shuffled.Conflicts[j] = shuffled.Conflicts[j], shuffled.Conflicts[i]
		})
		random.Shuffle(len(static), func(i, j int) { static[i], static[j] = static[j], static[i] })
		in.Snapshot, in.Static = &shuffled, static
		if other := Make(in); !reflect.DeepEqual(first, other) {
			t.Fatalf("round %d: another plan of the same input in another order:\n%+v\n%+v", round, first, other)
		}
	}
}

// Whatever the input is, the plan can be put into effect.
func TestEveryPlanIsSound(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 2000 {
		in := anyInput(random)
		p := Make(in)
		var feed route.Feed
		var entries []route.Entry
		for i, r := range p.Routes {
			if i > 0 && p.Routes[i-1].Prefix.Compare(r.Prefix) >= 0 {
				t.Fatalf("round %d: %s stands behind %s", round, r.Prefix, p.Routes[i-1].Prefix)
			}
			if r.Why == "" || r.ID == "" || (r.Kind == route.Via) != (r.Path == PathUDP) || r.Kind == route.Via && !r.Endpoint.IsValid() {
				t.Fatalf("round %d: %+v", round, r)
			}
			if r.Kind == route.Local && in.Snapshot.Lease != peers.Confirmed {
				t.Fatalf("round %d: %+v without a confirmed lease", round, r)
			}
			if found, ok := p.Find(r.Prefix); !ok || !reflect.DeepEqual(found, r) {
				t.Fatalf("round %d: found %+v, want %+v", round, found, r)
			}
			e := route.Entry{Prefix: r.Prefix, Kind: r.Kind}
			if r.Kind != route.Local {
				e.Peer = route.NewPeer(r.Name, r.Endpoint, r.MTU)
			}
			entries = append(entries, e)
		}
		if err := feed.Store(entries); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}
