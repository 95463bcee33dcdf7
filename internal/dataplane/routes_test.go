// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/peers"
	"flanneld/route"
)

func TestPeerObjectsOutliveChangesOfRoutes(t *testing.T) {
	r := NewRoutes()
	store := func(s *peers.Snapshot) *route.Peer {
		if err := r.Store(plan.Make(plan.Input{Snapshot: s}), s, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		return r.Peer(plantest.Key("b"))
	}
	moved := plantest.Node("b", peers.Alive, 2)
	moved.Endpoint = netip.MustParseAddrPort("192.0.2.77:9")
	first := store(plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2)))
	if first == nil {
		t.Fatal("no peer object")
	}
	if store(plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Dead, 2))) != first || store(plantest.Snapshot(peers.Confirmed, moved)) != first {
		t.Error("another object for the same node")
	}
	if first.Endpoint() != moved.Endpoint {
		t.Errorf("endpoint %v", first.Endpoint())
	}
	if store(plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Left, 2))) != first {
		t.Error("given up while the node is still in the table")
	}
	renamed := plantest.Node("b", peers.Alive, 2)
	renamed.Name = "another"
	if p := store(plantest.Snapshot(peers.Confirmed, renamed)); p == first || p.Name() != "another" {
		t.Errorf("a renamed node has %v", p.Name())
	}
	if store(plantest.Snapshot(peers.Confirmed)) != nil || len(r.TooLarge()) != 0 {
		t.Error("kept an object of a node that is in no table any more")
	}
}

func TestALookupKnowsItsPlan(t *testing.T) {
	r := NewRoutes()
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2))
	if err := r.Store(plan.Make(plan.Input{Snapshot: s}), s, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	next, planned, ok := r.Lookup(netip.MustParseAddr("10.244.2.9"))
	if !ok || next.Kind != route.Via || planned.Node != plantest.ID("b") || next.Peer != r.Peer(plantest.Key("b")) {
		t.Errorf("got %+v, %+v, %t", next, planned, ok)
	}
	if _, _, ok := r.Lookup(netip.MustParseAddr("10.244.9.9")); ok {
		t.Error("found a next hop for what no node holds")
	}
	if got := len(r.Plan().Routes); got != 2 {
		t.Errorf("%d routes", got)
	}
}

// A note is logged once, and one that is no fault quietly or not at all.
func TestNotesAreLoggedOnce(t *testing.T) {
	r := NewRoutes()
	var text strings.Builder
	log := slog.New(slog.NewTextHandler(&text, nil))
	s := plantest.Snapshot(peers.Confirmed)
	notes := map[string]plan.Note{
		"b": {Text: "endpoint is wrong"}, "c": {Text: plan.FromDisk, Expected: true}, "d": {Text: "routed as static peer x", Expected: true},
	}
	for range 2 {
		if err := r.Store(plan.Plan{Notes: notes}, s, log); err != nil {
			t.Fatal(err)
		}
	}
	out := text.String()
	if strings.Count(out, "\n") != 2 || !strings.Contains(out, "level=WARN") || !strings.Contains(out, "endpoint is wrong") || !strings.Contains(out, "level=INFO") || !strings.Contains(out, "entry=d") {
		t.Errorf("logged:\n%s", out)
	}
}

// A plan that the forwarder cannot take changes no route.
func TestAPlanThatCannotBeUsedChangesNoRoute(t *testing.T) {
	r := NewRoutes()
	log := slog.New(slog.DiscardHandler)
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2))
	good := plan.Make(plan.Input{Snapshot: s})
	if err := r.Store(good, s, log); err != nil {
		t.Fatal(err)
	}
	bad := good
	bad.Routes = append(append([]plan.Route(nil), good.Routes...), good.Routes[1])
	if err := r.Store(bad, s, log); err == nil {
		t.Error("took two routes to one prefix")
	}
	next, _, ok := r.Lookup(netip.MustParseAddr("10.244.2.9"))
	if !ok || next.Kind != route.Via || next.Endpoint != netip.MustParseAddrPort("192.0.2.2:8285") {
		t.Errorf("afterwards: %+v, %t", next, ok)
	}
}

// What the lanes forward by, what is shown and what is probed is one plan.
func TestLookupAndPlanAgree(t *testing.T) {
	r := NewRoutes()
	log := slog.New(slog.DiscardHandler)
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 3), plantest.Node("d", peers.Suspect, 4))
	if err := r.Store(plan.Make(plan.Input{Snapshot: s}), s, log); err != nil {
		t.Fatal(err)
	}
	for _, want := range r.Plan().Routes {
		next, planned, ok := r.Lookup(want.Prefix.Addr().Next())
		if !ok || !reflect.DeepEqual(planned, want) || next.Kind != want.Kind || next.Prefix != want.Prefix {
			t.Errorf("%s: next hop %+v, plan %+v", want.Prefix, next, planned)
		}
		if peer := r.Peer(want.ID); (peer != nil) != (want.Kind != route.Local) || peer != nil && peer.Name() != want.Name {
			t.Errorf("%s: peer object %v", want.ID, peer)
		}
	}
}
