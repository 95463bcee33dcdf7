// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/peers"
)

// A node can be in several conflicts, with nodes and with static peers: each is
// shown.
func TestEveryConflictOfANodeIsShown(t *testing.T) {
	name := func(id string) control.NodeName { return control.NodeName{ID: id, Name: "host-" + id} }
	conflict := func(subnet string, winner, loser control.NodeName) control.Conflict {
		return control.Conflict{Subnet: netip.MustParsePrefix(subnet), Winner: winner, Loser: loser}
	}
	got := disputes([]control.Conflict{
		conflict("10.244.2.0/24", name("b"), name("c")), conflict("10.244.2.0/25", name("b"), control.NodeName{Name: "192.0.2.9"}),
		conflict("10.244.3.0/24", name("d"), name("c")),
	})
	want := map[string]string{
		"b": "10.244.2.0/24 is claimed by host-c, too; 10.244.2.0/25 is claimed by 192.0.2.9, too",
		"c": "10.244.2.0/24 is host-b's; 10.244.3.0/24 is host-d's",
		"d": "10.244.3.0/24 is claimed by host-c, too",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What the node table says reaches the caller, field by field.
func TestNodeIsShownWhole(t *testing.T) {
	n := plantest.Node("b", peers.Suspect, 2)
	n.Since, n.Self, n.RTT, n.Start, n.Caps = 3*time.Second, true, 5*time.Millisecond, 7, []peers.Capability{{Number: 63}}
	n.Lease.Epoch, n.Lease.Pinned, n.Lease.Electors, n.Lease.Promises, n.Lease.Held = 4, true, 5, 3, 90*time.Second
	got := NodeOf(n)
	v := reflect.ValueOf(got)
	later := map[string]bool{"Conflict": true, "Note": true, "Path": true, "PathMTU": true, "Egress": true, "Ingress": true, "Route": true, "PathChanges": true, "Sealed": true, "Stray": true, "Roamed": true}
	for i := range v.NumField() {
		if field := v.Type().Field(i).Name; v.Field(i).IsZero() && !later[field] {
			t.Errorf("%s is not shown", field)
		}
	}
	if got.State != "suspect" || got.Since != 3 || got.RTT != 0.005 || got.LeaseAge != 90 || got.Epoch != 4 || len(got.Capabilities) != 1 {
		t.Errorf("got %+v", got)
	}
}

// The live namesake of a dead node needs no advice, and three of one name are
// three.
func TestNamesakesThatAreAlivePassUnremarked(t *testing.T) {
	one, two, three := plantest.Node("b1", peers.Dead, 2), plantest.Node("b2", peers.Dead, 3), plantest.Node("b3", peers.Left, 4)
	two.Name, three.Name = one.Name, one.Name
	got := namesakes(plantest.Snapshot(peers.Confirmed, one, two, three))
	for _, id := range []peers.NodeID{one.ID, two.ID} {
		if !strings.Contains(got[id], "flanneld forget "+id.Short()+" ") {
			t.Errorf("%s: %q", id, got[id])
		}
	}
	if len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if got := namesakes(&peers.Snapshot{}); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestRoamedNodesAreNoted(t *testing.T) {
	if note := roamedNote(netip.MustParseAddrPort("192.0.2.72:8285")); !strings.Contains(note, "192.0.2.72") {
		t.Errorf("noted as %q", note)
	}
	if note := roamedNote(netip.AddrPort{}); note != "" {
		t.Errorf("a node at its endpoint is noted as %q", note)
	}
}

func TestNotesAreJoinedOnOneLine(t *testing.T) {
	for want, notes := range map[string][]string{"": nil, "a": {"", "a", ""}, "a; b": {"a", "", "b"}} {
		if got := joinNotes(notes...); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Requests are answered while the node table and the routes change.
func TestAnswersWhileTheTableChanges(t *testing.T) {
	first := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 3))
	second := plantest.Snapshot(peers.Confirmed, plantest.Node("d", peers.Alive, 4))
	v := newView(t, first, "10.244.9.0/24=192.0.2.9:8285")
	var mu sync.Mutex
	current := first
	v.Snapshot = func() *peers.Snapshot {
		mu.Lock()
		defer mu.Unlock()
		return current
	}
	var all sync.WaitGroup
	end := make(chan struct{})
	all.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			default:
			}
			s := []*peers.Snapshot{first, second}[i%2]
			mu.Lock()
			current = s
			mu.Unlock()
			if err := v.Routes.Store(plan.Make(plan.Input{Snapshot: s, Static: v.cfg().StaticPeers}), s, slog.New(slog.DiscardHandler)); err != nil {
				t.Error(err)
			}
		}
	})
	for range 50 {
		nodes := v.Nodes().Nodes
		names := make([]string, len(nodes))
		for i, n := range nodes {
			names[i] = n.Name
		}
		if got := fmt.Sprint(names); got != "[host-a host-b host-c 192.0.2.9]" && got != "[host-a host-d 192.0.2.9]" {
			t.Errorf("nodes of two tables: %s", got)
		}
		if m := v.Status().Members; m.Alive != 2 || m.Static != 1 {
			t.Errorf("members %+v", m)
		}
		if r := v.Route(netip.MustParseAddr("10.244.9.7")); r.Kind != control.RouteVia || r.Node.Name != "192.0.2.9" {
			t.Errorf("route %+v", r)
		}
	}
	close(end)
	all.Wait()
}
