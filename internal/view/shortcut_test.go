// SPDX-License-Identifier: Apache-2.0

package view

import (
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/host/shortcut"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/probe"
	"flanneld/peers"
	"flanneld/route"
)

// shortcutView is a view of a node with the short-cut. Node b has it, too, and
// node c has not.
func shortcutView(t *testing.T, proof plan.Proof) *View {
	t.Helper()
	b, c := plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Alive, 3)
	b.Caps = append(plan.Announced(nil, 0, 0, nil), plan.AnnouncedShortcut())
	s := plantest.Snapshot(peers.Confirmed, b, c)
	v := newView(t, s)
	v.HostShortcut = func() Shortcut {
		return Shortcut{On: true, State: shortcut.State{Ready: true, Notes: []string{"a note"}}, Left: map[string]uint64{"egress-ttl": 2}}
	}
	p := plan.Make(plan.Input{
		Snapshot: s, Shortcut: func() string { return "" }, Proof: func(_ string, p plan.Path) plan.Proof {
			if p == plan.PathShortcut {
				return proof
			}
			return plan.Proof{}
		},
	})
	if err := v.Routes.Store(p, s, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestStatusAndNodesShowTheShortcut(t *testing.T) {
	v := shortcutView(t, plan.Proof{State: plan.Proven})
	prefix := netip.MustParsePrefix("10.244.2.0/24")
	sum := dataplane.Flow{Egress: route.Volume{Packets: 5, Bytes: 500}, Ingress: route.Volume{Packets: 7, Bytes: 700}}
	counted := 0
	v.Count = func() {
		counted++
		v.Totals.Carried.Read(func() (map[netip.Prefix]dataplane.Flow, dataplane.Flow) {
			return map[netip.Prefix]dataplane.Flow{prefix: sum}, sum
		},
			func(netip.Prefix) *route.Peer { return v.Routes.Peer(plantest.Key("b")) })
	}
	v.prober = &fakeProber{results: map[plan.Path]probe.Result{plan.PathShortcut: {State: probe.Works, RTT: time.Millisecond, Sent: 4, Lost: 1}}}
	s := v.Status()
	out, in := control.Traffic{Packets: 5, Bytes: 500}, control.Traffic{Packets: 7, Bytes: 700}
	want := control.Shortcut{
		Setting: "auto", Ready: true, Pinned: true, Peers: 1, Egress: out, Ingress: in, Left: map[string]uint64{"egress-ttl": 2}, Notes: []string{"a note"},
	}
	if !reflect.DeepEqual(s.Shortcut, want) || s.Egress != out || s.Ingress != in || counted != 1 {
		t.Errorf("got  %+v, %+v, %+v after %d looks\nwant %+v", s.Shortcut, s.Egress, s.Ingress, counted, want)
	}
	b := nodeNamed(t, v, "host-b")
	used := control.NodeShortcut{Used: true, State: control.PathWorks, RTT: 0.001, Sent: 4, Lost: 1, Egress: out, Ingress: in}
	if len(b.Paths) != 1 || b.Paths[0].Shortcut != used || b.Egress != out || b.Ingress != in || !slices.Contains(b.Capabilities, "short-cut/1") {
		t.Errorf("got %+v", b)
	}
	c := nodeNamed(t, v, "host-c")
	if want := (control.NodeShortcut{State: control.PathImpossible, Why: "the node does not take it"}); len(c.Paths) != 1 || c.Paths[0].Shortcut != want {
		t.Errorf("got %+v", c)
	}
	if r := v.Route(netip.MustParseAddr("10.244.2.9")); len(r.Paths) != 1 || !r.Paths[0].Shortcut.Used || r.Path != "udp" {
		t.Errorf("route: %+v", r)
	}
}

func TestStatusSaysWhyThereIsNoShortcut(t *testing.T) {
	v := shortcutView(t, plan.Proof{})
	for want, state := range map[string]Shortcut{
		"off (--shortcut)":            {},
		"off (flanneld shortcut off)": {Switched: true},
		"it is not set up yet":        {On: true, State: shortcut.State{Why: "it is not set up yet"}},
		"no CAP_BPF":                  {On: true, State: shortcut.State{Why: "no CAP_BPF"}},
	} {
		v.HostShortcut = func() Shortcut { return state }
		if s := v.Status().Shortcut; s.Ready || s.Why != want || s.Peers != 0 || s.Left == nil || s.Notes == nil {
			t.Errorf("%s: %+v", want, s)
		}
	}
	v.HostShortcut = func() Shortcut { return Shortcut{} }
	v.Config.Config.Sealed = true
	if s := v.Status().Shortcut; s.Why != "off (--sealed)" {
		t.Errorf("in a sealed network: %+v", s)
	}
}

// Both ways of the udp format are tried, and the one in use counts.
func TestPingTriesUserSpaceAndTheShortcut(t *testing.T) {
	answer := func(plan.Path) probe.PingResult { return probe.PingResult{Sent: 1, Received: 1} }
	for _, c := range []struct {
		name  string
		proof plan.Proof
		node  string
		want  []control.PingedPath
	}{
		{"proven", plan.Proof{State: plan.Proven}, "host-b", []control.PingedPath{
			{Path: "short-cut", Used: true, Sent: 1, Received: 1, MTU: 1472}, {Path: "udp", Why: "short-cut is preferred", Sent: 1, Received: 1, MTU: 1472},
		}},
		{"failed", plan.Proof{State: plan.Failed, Why: "probes are not answered"}, "host-b", []control.PingedPath{
			{Path: "short-cut", Why: "probes are not answered", Sent: 1, Received: 1, MTU: 1472}, {Path: "udp", Used: true, Sent: 1, Received: 1, MTU: 1472},
		}},
		{"the peer has none", plan.Proof{State: plan.Proven}, "host-c", []control.PingedPath{
			{Path: "short-cut", Why: "the node does not take it", MTU: 1472}, {Path: "udp", Used: true, Sent: 1, Received: 1, MTU: 1472},
		}},
	} {
		v := shortcutView(t, c.proof)
		v.prober = &fakeProber{answer: answer}
		if got, err := v.Ping(t.Context(), c.node, "", 1, 0); err != nil || !reflect.DeepEqual(got.Paths, c.want) {
			t.Errorf("%s: got  %+v, %v\nwant %+v", c.name, got.Paths, err, c.want)
		}
	}
	v := shortcutView(t, plan.Proof{State: plan.Proven})
	v.prober = &fakeProber{answer: answer}
	if got, err := v.Ping(t.Context(), "host-b", "short-cut", 1, 0); err != nil || len(got.Paths) != 1 || !got.Paths[0].Used {
		t.Errorf("alone: %+v, %v", got, err)
	}
}
