// SPDX-License-Identifier: Apache-2.0

package view

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/host"
	"flanneld/internal/host/underlay"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/probe"
	"flanneld/internal/problem"
	"flanneld/peers"
	"flanneld/route"
)

// newView is a view of a node without a data plane that knows a snapshot.
func newView(t testing.TB, s *peers.Snapshot, static ...string) *View {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	v := New(Config{
		Config:  config.Config{Device: "flannel-none", RunDir: "/run/flannel", Port: 8285, GossipPort: 8286, Lanes: 2, StaticPeers: plantest.StaticPeers(t, static...)},
		Version: "1.2.3", Started: time.Now().Add(-time.Minute), MTU: 1472,
		Snapshot: func() *peers.Snapshot { return s },
		Here: func() underlay.Underlay {
			return underlay.Underlay{Interface: "eth0", Addr: netip.MustParseAddr("192.0.2.1"), PublicAddr: netip.MustParseAddr("198.51.100.1"), MTU: 1500}
		},
		Routes: dataplane.NewRoutes(), Totals: new(dataplane.Totals), Problems: problem.NewBoard(log),
		Live:    func() Live { return Live{} },
		Refused: func() map[string]control.Traffic { return map[string]control.Traffic{"vxlan": {Packets: 7}} },
		Host:    func() Host { return Host{Firewall: control.FirewallOK, DeviceRepairs: 2, ReadyAfter: 3 * time.Second} },
		Check: func() []host.Finding {
			return []host.Finding{{Part: "bridge", Wrong: []string{"br-1 has 10.244.9.1/24: docker network rm 1"}}}
		},
	})
	p := plan.Make(plan.Input{Snapshot: s, Static: v.cfg().StaticPeers, Unseen: func(id peers.NodeID) bool { return id == plantest.ID("unseen") }})
	if err := v.Routes.Store(p, s, log); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestStatusShowsTheNodeAndItsHost(t *testing.T) {
	v := newView(t, plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2)), "10.244.9.0/24=192.0.2.9:8285")
	v.Totals.Begin(func() route.Counters {
		return route.Counters{Egress: route.Direction{Volume: route.Volume{Packets: 3, Bytes: 300}, Drops: []route.Drop{{Reason: route.NoRoute, Packets: 5}}}}
	})
	s := v.Status()
	if s.Version != "1.2.3" || s.Node.ID != plantest.Key("a") || s.Lanes != 2 || s.Uptime < 60 || s.PID == 0 {
		t.Errorf("the node: %+v", s)
	}
	if s.Underlay.Address.String() != "192.0.2.1" || s.Endpoint.String() != "198.51.100.1:8285" || s.Gossip.String() != "198.51.100.1:8286" {
		t.Errorf("the underlay: %+v, %s, %s", s.Underlay, s.Endpoint, s.Gossip)
	}
	if s.Lease.State != "confirmed" || s.Lease.Subnet.String() != "10.244.1.0/24" || s.Members.Alive != 2 || s.Members.Static != 1 {
		t.Errorf("lease %+v, members %+v", s.Lease, s.Members)
	}
	if s.Egress.Packets != 3 || s.Drops["egress-no-route"] != 5 || s.Refused["vxlan"].Packets != 7 {
		t.Errorf("traffic %+v, drops %v, refused %v", s.Egress, s.Drops, s.Refused)
	}
	// The device is not there yet: neither are the rules for it.
	if s.Device.State != control.DeviceAbsent || s.Device.MTU != 1472 || s.Host.Firewall != "" || s.Host.DeviceRepairs != 2 || s.Host.ReadyAfter != 3 {
		t.Errorf("device %+v, host %+v", s.Device, s.Host)
	}
	if s.Host.StrayBridge != "br-1 has 10.244.9.1/24: docker network rm 1" {
		t.Errorf("stray bridge %q", s.Host.StrayBridge)
	}
	if s.OK || !strings.Contains(s.Summary, "flannel-none is absent") || v.Nodes().Health != s.Health {
		t.Errorf("verdict %+v", s.Health)
	}
	if s.Process.Goroutines == 0 || s.Security.DataSealed || s.Security.Note == "" {
		t.Errorf("process %+v, security %+v", s.Process, s.Security)
	}
}

func TestSecurityNotesDiffer(t *testing.T) {
	open, sealed := securityOf(config.Config{}, false), securityOf(config.Config{}, true)
	if open.GossipSealed || !sealed.GossipSealed || open.Note == sealed.Note || !strings.Contains(sealed.Note, "in the clear") {
		t.Errorf("%+v, %+v", open, sealed)
	}
}

// Scripts find every field in every answer: what is empty is an empty list.
func TestAnswersHaveNoNulls(t *testing.T) {
	v := newView(t, &peers.Snapshot{})
	waiting := NewWaiting(config.Config{}, "n", "v", time.Now(), problem.NewBoard(slog.New(slog.DiscardHandler)), nil)
	for name, answer := range map[string]any{
		"status": v.Status(), "nodes": v.Nodes(), "route": v.Route(netip.MustParseAddr("10.244.1.1")),
		"status while waiting": waiting.Status(), "nodes while waiting": waiting.Nodes(), "route while waiting": waiting.Route(netip.MustParseAddr("10.244.1.1")),
	} {
		text, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(string(text), `"claim":null`, ""); strings.Contains(got, "null") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestNodesShowsWhatIsWrongWithEach(t *testing.T) {
	b, lost := plantest.Node("b", peers.Alive, 2), plantest.Node("lost", peers.Alive, 2)
	b.Caps = plan.Announced(nil, 0, 0, nil)
	liar := plantest.Node("liar", peers.Alive, 5)
	liar.Endpoint = netip.MustParseAddrPort("127.0.0.1:1")
	s := plantest.Snapshot(peers.Confirmed, b, lost, plantest.Node("unseen", peers.Dead, 4), liar)
	s.Conflicts = []peers.Conflict{{Prefix: b.Lease.Prefix, Winner: plantest.ID("b"), Loser: plantest.ID("lost")}}
	v := newView(t, s, "10.244.9.0/24=192.0.2.9:8285", "10.244.5.0/24=192.0.2.8:8285")
	nodes := map[string]control.Node{}
	for _, n := range v.Nodes().Nodes {
		nodes[n.Name] = n
	}
	for name, want := range map[string]struct{ state, conflict, note string }{
		"host-a": {"alive", "", ""}, "host-b": {"alive", "10.244.2.0/24 is claimed by host-lost, too", ""},
		"host-lost": {"alive", "10.244.2.0/24 is host-b's", ""}, "host-unseen": {"dead", "", plan.FromDisk},
		"host-liar": {"alive", "10.244.5.0/24 is claimed by 192.0.2.8, too", "loopback"},
		"192.0.2.9": {"static", "", ""}, "192.0.2.8": {"static", "", "host-liar holds 10.244.5.0/24"},
	} {
		n := nodes[name]
		if n.State != want.state || n.Conflict != want.conflict || !strings.Contains(n.Note, want.note) || want.note == "" && n.Note != "" {
			t.Errorf("%s: %+v", name, n)
		}
	}
	if got := strings.Join(nodes["host-b"].Capabilities, " "); got != "udp/1" || len(nodes["host-a"].Capabilities) != 0 {
		t.Errorf("capabilities %q, %q", got, nodes["host-a"].Capabilities)
	}
	if !nodes["host-a"].Self || nodes["192.0.2.9"].ID != "" || nodes["host-b"].Path.State != control.PathNone {
		t.Errorf("%+v", nodes)
	}
}

func TestRouteSaysWhichNextHopAndWhy(t *testing.T) {
	small := plantest.Node("b", peers.Alive, 2)
	small.MTU = 1300
	s := plantest.Snapshot(peers.Confirmed, small, plantest.Node("c", peers.Dead, 3), plantest.Node("unseen", peers.Dead, 4))
	v := newView(t, s, "10.244.9.0/24=192.0.2.9:8285")
	for address, want := range map[string]struct {
		kind, node, state, reason string
		mtu                       int
	}{
		"10.244.1.7": {"local", "host-a", "alive", "this node's own lease", 1472},
		"10.244.2.7": {"via", "host-b", "alive", "holds the lease and is alive", 1300},
		"10.244.3.7": {"unreachable", "host-c", "dead", "is dead: packets are answered with ICMP host unreachable", 1472},
		"10.244.4.7": {"via", "host-unseen", "dead", plan.FromDisk, 1472},
		"10.244.9.7": {"via", "192.0.2.9", "static", "given with --static-peer", 1472},
		"10.244.8.7": {"none", "", "", "no node holds", 0},
		"192.0.2.1":  {"outside", "", "", "not in the network 10.244.0.0/16", 0},
	} {
		r := v.Route(netip.MustParseAddr(address))
		if r.Kind != want.kind || r.Node.Name != want.node || r.State != want.state || r.MTU != want.mtu || !strings.Contains(r.Reason, want.reason) || len(r.Kernel) != 0 {
			t.Errorf("%s: %+v, want %+v", address, r, want)
		}
	}
	if r := v.Route(netip.MustParseAddr("10.244.9.7")); r.Node.ID != "" || r.Endpoint.String() != "192.0.2.9:8285" {
		t.Errorf("static: %+v", r)
	}
	unknown := newView(t, &peers.Snapshot{View: peers.View{Waiting: "no seed answers"}})
	if r := unknown.Route(netip.MustParseAddr("10.244.1.1")); r.Kind != control.RouteOutside || !strings.Contains(r.Reason, "not known yet: no seed answers") {
		t.Errorf("without a network: %+v", r)
	}
}

func TestPathsAreShownInWords(t *testing.T) {
	for _, c := range []struct {
		result      probe.Result
		state, note string
	}{
		{probe.Result{}, control.PathUnproven, ""},
		{probe.Result{State: probe.Works}, control.PathWorks, ""},
		{probe.Result{State: probe.Works, ForwardsOnly: true}, control.PathWorks, "answers no pings"},
		{probe.Result{State: probe.SmallOnly, Tried: 1472}, control.PathSmallOnly, "packets of 1472 bytes are lost"},
		{probe.Result{State: probe.Failed}, control.PathFailed, "nothing comes from it"},
		{probe.Result{State: probe.Failed, Arriving: true}, control.PathFailed, "packets come from it"},
		{probe.Result{State: probe.Failed, Refused: errors.New("no buffer")}, control.PathFailed, "does not send to it: no buffer"},
	} {
		p := pathOf(c.result)
		if p.State != c.state || !strings.Contains(p.Note, c.note) || c.note == "" && p.Note != "" {
			t.Errorf("%+v is shown as %+v", c.result, p)
		}
	}
	got := countPaths(map[string]probe.Result{"a": {}, "b": {State: probe.Works}, "c": {State: probe.SmallOnly}, "d": {State: probe.Failed}, "e": {State: probe.Works}})
	if want := (control.Paths{Works: 2, SmallOnly: 1, Failed: 1, Unproven: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestCommandsAreRefusedWhileWaiting(t *testing.T) {
	w := NewWaiting(config.Config{Lanes: 3}, "n", "v", time.Now(), problem.NewBoard(slog.New(slog.DiscardHandler)), nil)
	w.For("no address")
	_, joining := w.Join(t.Context(), []string{"x"})
	_, leaving := w.Leave(t.Context())
	_, forgetting := w.Forget(t.Context(), "x")
	for _, err := range []error{joining, leaving, forgetting} {
		if err == nil || err.Error() != "no address" {
			t.Errorf("got %v", err)
		}
	}
	if w.CheckAddress("host1") != nil || w.CheckAddress("a b") == nil {
		t.Error("addresses are not checked")
	}
	if s := w.Status(); s.OK || s.Lease.Waiting != "no address" || s.Node.Name != "n" || s.Lanes != 3 {
		t.Errorf("status %+v", s)
	}
}

func TestWhatIsWaitedForNamesWhatToDo(t *testing.T) {
	s := plantest.Snapshot(peers.Claiming, plantest.Node("dead-id", peers.Dead, 2))
	if got := WaitingFor(s); got != "" {
		t.Errorf("waits for nothing: %q", got)
	}
	s.Waiting, s.Ballot = "no answer from host-dead-id", &peers.Ballot{Missing: []peers.NodeID{plantest.ID("dead-id")}}
	if got := WaitingFor(s); !strings.HasPrefix(got, s.Waiting+"; ") || !strings.Contains(got, "flanneld forget "+plantest.Key("dead-id")) {
		t.Errorf("got %q", got)
	}
}
