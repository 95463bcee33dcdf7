// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"log/slog"
	"maps"
	"testing"

	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/peers"
	"flanneld/route"
)

func TestPathChangesAreCounted(t *testing.T) {
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2))
	b := s.Nodes[1].Lease.Prefix
	r := NewRoutes()
	for i, step := range []struct {
		path   plan.Path // "": not reached
		byPeer uint64
		to     map[plan.Path]uint64
	}{
		{plan.PathUDP, 0, nil}, // the first is no change
		{plan.PathUDP, 0, nil},
		{plan.PathVXLAN, 1, map[plan.Path]uint64{plan.PathVXLAN: 1}},
		{"", 1, map[plan.Path]uint64{plan.PathVXLAN: 1}}, // dead for a while
		{plan.PathVXLAN, 1, map[plan.Path]uint64{plan.PathVXLAN: 1}},
		{plan.PathUDP, 2, map[plan.Path]uint64{plan.PathVXLAN: 1, plan.PathUDP: 1}},
	} {
		p := plan.Plan{Routes: []plan.Route{{
			Prefix: b, Kind: route.Via, Node: plantest.ID("b"), ID: plantest.Key("b"), Path: step.path, Endpoint: s.Nodes[1].Endpoint,
		}}}
		if err := r.Store(p, s, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		byPeer, to := r.PathChanges()
		if byPeer[plantest.Key("b")] != step.byPeer || !maps.Equal(to, step.to) {
			t.Errorf("step %d: %v, %v", i, byPeer, to)
		}
	}
	gone := plantest.Snapshot(peers.Confirmed)
	if err := r.Store(plan.Plan{}, gone, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if byPeer, to := r.PathChanges(); len(byPeer) != 0 || to[plan.PathVXLAN] != 1 {
		t.Errorf("a peer that is gone: %v, %v", byPeer, to)
	}
}
