// SPDX-License-Identifier: Apache-2.0

package view

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"flanneld/internal/control"
	"flanneld/internal/plan/plantest"
	"flanneld/peers"
)

func TestStatusLineSaysWhatCounts(t *testing.T) {
	for want, s := range map[string]*peers.Snapshot{
		"lease 10.244.1.0/24, 2 of 3 nodes alive": plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 3)),
		"waiting: no seed answers":                {View: peers.View{Lease: peers.Joining, Waiting: "no seed answers"}},
		"lease: claiming":                         {View: peers.View{Lease: peers.Claiming}},
	} {
		if got := StatusLine(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestMembersAndConflictsAreShown(t *testing.T) {
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Suspect, 3), plantest.Node("d", peers.Dead, 4), plantest.Node("e", peers.Left, 5))
	s.Conflicts = []peers.Conflict{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), Winner: plantest.ID("b"), Loser: plantest.ID("c")}}
	list := plantest.StaticPeers(t, "10.244.4.0/24=192.0.2.9:8285")
	if got, want := members(s, list), (control.Members{Alive: 2, Suspect: 1, Dead: 1, Left: 1, Static: 1}); got != want {
		t.Errorf("members: got %+v, want %+v", got, want)
	}
	got := conflicts(s, list)
	if len(got) != 2 || got[0].Winner.Name != "host-b" || got[0].Loser.Name != "host-c" {
		t.Fatalf("conflicts: %+v", got)
	}
	if got[1].Winner.Name != "host-d" || got[1].Loser.Name != "192.0.2.9" || !strings.Contains(got[1].Note, "--static-peer") {
		t.Errorf("conflict with a static peer: %+v", got[1])
	}
}

func TestStatusSaysWhoPromisedAndWhoIsMissing(t *testing.T) {
	s := plantest.Snapshot(peers.Claiming, plantest.Node("b", peers.Alive, 2), plantest.Node("c", peers.Dead, 3))
	s.Ballot = &peers.Ballot{Prefix: netip.MustParsePrefix("10.244.9.0/24"), Epoch: 2, Electors: 4, Needed: 3, Promised: []peers.NodeID{plantest.ID("b")}, Missing: []peers.NodeID{plantest.ID("c"), plantest.ID("unknown")}}
	l := leaseOf(s)
	want := control.Claim{
		Subnet: s.Ballot.Prefix, Epoch: 2, Electors: 4, Needed: 3, Answered: 2, PromisedBy: []control.NodeName{{ID: plantest.Key("b"), Name: "host-b"}},
		Missing: []control.Missing{{NodeName: control.NodeName{ID: plantest.Key("c"), Name: "host-c"}, State: "dead"}, {NodeName: control.NodeName{ID: plantest.Key("unknown")}, State: "dead"}},
	}
	if l.Claim == nil || !reflect.DeepEqual(*l.Claim, want) {
		t.Errorf("got %+v, want %+v", l.Claim, want)
	}
	s = plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2))
	s.PromisedBy = []peers.NodeID{plantest.ID("b")}
	if l := leaseOf(s); l.Claim != nil || len(l.PromisedBy) != 1 || l.PromisedBy[0].Name != "host-b" {
		t.Errorf("after the grant: %+v", l)
	}
}

// A host that is moved from flannel is in no conflict with itself.
func TestAStaticPeerIsInNoConflictWithItsOwnHost(t *testing.T) {
	static := plantest.StaticPeers(t, "10.244.2.0/24=192.0.2.2:8285")
	for _, state := range []peers.State{peers.Alive, peers.Suspect, peers.Dead, peers.Left} {
		if got := conflicts(plantest.Snapshot(peers.Confirmed, plantest.Node("b", state, 2)), static); len(got) != 0 {
			t.Errorf("%s: a conflict of the host with itself: %+v", state, got)
		}
	}
}
