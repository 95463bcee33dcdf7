// SPDX-License-Identifier: Apache-2.0

package view

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/monitor"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/probe"
	"flanneld/peers"
)

var vxlanFirst = []plan.Path{plan.PathDirect, plan.PathVXLAN, plan.PathUDP}

// noShortcut is what is shown where it is switched off.
var noShortcut = control.NodeShortcut{State: control.PathImpossible, Why: plan.ShortcutOff}

// pathView is a view of a node that prefers kernel paths, and reaches b by
// VXLAN.
func pathView(t *testing.T, backend []plan.Path, proof plan.Proof, static ...string) *View {
	t.Helper()
	b, c := plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 3)
	b.Caps, b.MTU = plan.Announced(vxlanFirst, 8472, 1, nil), 1450
	s := plantest.Snapshot(peers.Confirmed, b, c)
	v := newView(t, s, static...)
	v.Config.Config.Backend = backend
	v.Unavailable = func(p plan.Path) string {
		if p == plan.PathDirect {
			return "eth0 is strict"
		}
		return ""
	}
	p := plan.Make(plan.Input{
		Snapshot: s, Static: v.cfg().StaticPeers, Backend: backend, VNI: 1, Unavailable: v.Unavailable,
		Proof: func(string, plan.Path) plan.Proof { return proof },
	})
	if err := v.Routes.Store(p, s, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return v
}

func nodeNamed(t *testing.T, v *View, name string) control.Node {
	t.Helper()
	for _, n := range v.Nodes().Nodes {
		if n.Name == name {
			return n
		}
	}
	t.Fatalf("no node %s", name)
	return control.Node{}
}

func TestNodesShowsEachPath(t *testing.T) {
	v := pathView(t, vxlanFirst, plan.Proof{State: plan.Proven})
	direct := control.NodePath{Path: "direct", State: control.PathImpossible, Why: "not available on this host: eth0 is strict", MTU: 1450}
	want := []control.NodePath{direct, {Path: "vxlan", State: control.PathWorks, Used: true, MTU: 1450}, {Path: "udp", State: control.PathWorks, MTU: 1450, Shortcut: noShortcut}}
	n := nodeNamed(t, v, "host-b")
	if !reflect.DeepEqual(n.Paths, want) || n.Path.State != control.PathWorks {
		t.Errorf("got  %+v, %+v\nwant %+v", n.Paths, n.Path, want)
	}
	r := v.Route(netip.MustParseAddr("10.244.2.9"))
	if r.Path != "vxlan" || r.Kind != control.RouteVia || r.MTU != 1450 || !reflect.DeepEqual(r.Paths, want) || !strings.Contains(r.Reason, "by vxlan; not direct (") {
		t.Errorf("route: %+v", r)
	}
	if n := nodeNamed(t, v, "host-c"); n.Paths == nil || len(n.Paths) != 0 {
		t.Errorf("a dead node: %+v", n)
	}
	v = pathView(t, vxlanFirst, plan.Proof{State: plan.Failed, Why: "probes are not answered"})
	want = []control.NodePath{direct, {Path: "vxlan", State: control.PathFailed, Why: "probes are not answered", MTU: 1450},
		{Path: "udp", State: control.PathFailed, Used: true, Why: "probes are not answered", MTU: 1450, Shortcut: noShortcut}}
	if n := nodeNamed(t, v, "host-b"); !reflect.DeepEqual(n.Paths, want) {
		t.Errorf("got  %+v\nwant %+v", n.Paths, want)
	}
}

// What probes have found on a path stands beside what the plan says.
func TestResultsOfProbesAreShownByPath(t *testing.T) {
	v := pathView(t, vxlanFirst, plan.Proof{})
	small := probe.Result{State: probe.SmallOnly, RTT: time.Millisecond, Sent: 9, Lost: 2, Size: 1000, Tried: 1450}
	v.prober = &fakeProber{results: map[plan.Path]probe.Result{plan.PathUDP: small, plan.PathVXLAN: {State: probe.Works, Sent: 3}}}
	r, _ := v.Routes.Plan().Find(netip.MustParsePrefix("10.244.2.0/24"))
	paths := v.nodePaths(r, map[monitor.TrafficKey]monitor.Traffic{{Path: plan.PathVXLAN, Lease: r.Prefix}: {Packets: 3, Bytes: 300}})
	want := control.NodePath{Path: "udp", State: control.PathSmallOnly, Used: true, Why: "packets of 1450 bytes are lost", RTT: 0.001, Sent: 9, Lost: 2, Size: 1000, MTU: 1450, Shortcut: noShortcut}
	if got := paths[2]; got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := paths[1]; got.State != control.PathUnproven || got.Sent != 3 || got.Arrived != (control.Traffic{Packets: 3, Bytes: 300}) { // the plan does not believe it yet
		t.Errorf("a path that is being tried: %+v", got)
	}
	if got := paths[0]; got.State != control.PathImpossible || got.Sent != 0 {
		t.Errorf("a path that is impossible: %+v", got)
	}
	if got := pathInUse(r, map[string]probe.Result{r.ID: small}); got.State != control.PathSmallOnly || got.Sent != 9 {
		t.Errorf("in use: %+v", got)
	}
}

func TestStatusCountsPeersByPath(t *testing.T) {
	v := pathView(t, vxlanFirst, plan.Proof{State: plan.Proven}, "10.244.9.0/24=192.0.2.9:8285")
	want := control.Backend{Names: []string{"host-gw", "vxlan", "udp"}, Paths: []control.BackendPath{
		{Path: "direct", Unavailable: "eth0 is strict"}, {Path: "vxlan", Peers: 1}, {Path: "udp", Peers: 1},
	}}
	if got := v.Status().Backend; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// A static peer by udp is reached whatever the list has.
	v = pathView(t, []plan.Path{plan.PathVXLAN}, plan.Proof{}, "10.244.9.0/24=192.0.2.9:8285")
	want = control.Backend{Names: []string{"vxlan"}, Paths: []control.BackendPath{{Path: "vxlan", Peers: 1}, {Path: "udp", Peers: 1}}}
	if got := v.Status().Backend; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// Without a setting it is udp.
	want = control.Backend{Names: []string{"udp"}, Paths: []control.BackendPath{{Path: "udp", Peers: 1}}}
	if got := pathView(t, nil, plan.Proof{}).Status().Backend; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A peer that no path leads to is a problem; peers with one reason are one.
func TestPeersWithoutAPathAreAProblem(t *testing.T) {
	only := config.Backend{plan.PathVXLAN}
	v := pathView(t, only, plan.Proof{State: plan.Failed, Why: "probes are not answered"})
	got := v.noPath()
	if len(got) != 1 || got[0].Text != "no path leads to host-b ("+plantest.Key("b")[:8]+"): vxlan (probes are not answered)" || !strings.Contains(got[0].Advice, "--backend is vxlan") {
		t.Errorf("%+v", got)
	}
	if n := nodeNamed(t, v, "host-b"); !strings.Contains(n.Note, "no path leads to it: vxlan (probes are not answered)") || n.Paths[0].Used {
		t.Errorf("%+v", n)
	}
	if s := v.Status(); s.OK || !slices.ContainsFunc(s.Problems, func(p control.Problem) bool { return p.Part == "backend" && p.Text == got[0].Text }) {
		t.Errorf("%+v", s.Problems)
	}
	var all []peers.NodeInfo
	for i := range byte(7) {
		all = append(all, plantest.Node(fmt.Sprint("n", i), peers.Alive, i+2))
	}
	s := plantest.Snapshot(peers.Confirmed, all...)
	if err := v.Routes.Store(plan.Make(plan.Input{Snapshot: s, Backend: only}), s, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	got = v.noPath()
	if len(got) != 1 || !strings.Contains(got[0].Text, "host-n3 ("+plantest.Key("n3")[:8]+"), 3 more: vxlan (the node does not take it)") {
		t.Errorf("%+v", got)
	}
}

// fakeProber records what is asked of a monitor, and answers.
type fakeProber struct {
	results map[plan.Path]probe.Result
	err     error
	answer  func(plan.Path) probe.PingResult

	mu    sync.Mutex
	asked []string
}

func (f *fakeProber) Result(_ string, p plan.Path) (probe.Result, bool) {
	r, known := f.results[p]
	return r, known
}

func (f *fakeProber) Ping(_ context.Context, _ string, p plan.Path, count, size int) (probe.PingResult, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprint(p, count, size))
	return f.answer(p), f.err
}

func TestPingTriesEveryPathThatIsPossible(t *testing.T) {
	v := pathView(t, vxlanFirst, plan.Proof{State: plan.Proven})
	prober := &fakeProber{answer: func(p plan.Path) probe.PingResult {
		if p == plan.PathUDP {
			return probe.PingResult{Sent: 3, Refused: errors.New("operation not permitted")}
		}
		return probe.PingResult{Sent: 3, Received: 2, Min: time.Millisecond, Avg: 2 * time.Millisecond, Max: 3 * time.Millisecond, Largest: 1450, Refused: errors.New("once")}
	}}
	v.prober = prober
	got, err := v.Ping(t.Context(), "host-b", "", 3, 0)
	want := []control.PingedPath{
		{Path: "direct", Why: "not available on this host: eth0 is strict", MTU: 1450},
		{Path: "vxlan", Used: true, Sent: 3, Received: 2, Min: 0.001, Avg: 0.002, Max: 0.003, Largest: 1450, MTU: 1450},
		{Path: "udp", Why: "operation not permitted", Sent: 3, MTU: 1450},
	}
	if err != nil || !reflect.DeepEqual(got.Paths, want) || got.Node.Name != "host-b" || got.State != "alive" || got.Subnet.String() != "10.244.2.0/24" {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	prober.asked, prober.err = nil, errors.New("no device for it")
	got, err = v.Ping(t.Context(), "10.244.2.77", "vxlan", 2, 1200)
	if err != nil || len(got.Paths) != 1 || got.Paths[0].Why != "no device for it" || !reflect.DeepEqual(prober.asked, []string{"vxlan2 1200"}) {
		t.Errorf("one path: %+v, %v, %v", got, err, prober.asked)
	}
}

// Whatever a user calls a node, it is found, or it is said why not.
func TestNodesToPingAreFound(t *testing.T) {
	v := pathView(t, vxlanFirst, plan.Proof{State: plan.Proven}, "10.244.9.0/24=192.0.2.9:8285", "10.244.8.0/24=192.0.2.9:8286", "10.244.7.0/24=192.0.2.7:8285")
	if _, err := v.Ping(t.Context(), "host-b", "", 1, 0); err == nil || !strings.Contains(err.Error(), "no data plane yet") {
		t.Errorf("without a monitor: %v", err)
	}
	v.prober = &fakeProber{answer: func(plan.Path) probe.PingResult { return probe.PingResult{} }}
	b := plantest.Key("b")
	for node, want := range map[string]string{
		"host-b": "", b: "", strings.ToUpper(b[:6]): "", "10.244.2.1": "", "192.0.2.7": "", "10.244.9.1": "",
		"host-a": "host-a (", "host-c": "host-c (", "stranger": "no node is called stranger", b[:3]: "no node is called",
		"192.0.2.9":   "192.0.2.9 is ambiguous: 192.0.2.9 with 10.244.8.0/24, 192.0.2.9 with 10.244.9.0/24",
		"10.244.77.1": "no node is called 10.244.77.1",
	} {
		if _, err := v.Ping(t.Context(), node, "", 1, 0); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", node, err, want)
		}
	}
	if _, err := v.Ping(t.Context(), "host-b", "ipip", 1, 0); err == nil || !strings.HasPrefix(err.Error(), "ipip is no path to host-b (") {
		t.Errorf("by a path that the list has not: %v", err)
	}
	lost := plantest.Node("lost", peers.Alive, 2)
	lost.Lease = peers.Lease{}
	v = newView(t, plantest.Snapshot(peers.Confirmed, lost))
	if _, err := v.Ping(t.Context(), "host-lost", "", 1, 0); err == nil || !strings.Contains(err.Error(), "no subnet that is routed") {
		t.Errorf("without a subnet: %v", err)
	}
}
