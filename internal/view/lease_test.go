// SPDX-License-Identifier: Apache-2.0

package view

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

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

// Each field of the own lease reaches the status.
func TestOwnLeaseIsShownWhole(t *testing.T) {
	s := plantest.Snapshot(peers.Confirmed, plantest.Node("b", peers.Alive, 2))
	s.Self.Lease = peers.Lease{Prefix: netip.MustParsePrefix("10.244.1.0/24"), Epoch: 2, Pinned: true, Electors: 3, Promises: 2, Held: time.Minute}
	s.PromisedBy, s.Waiting, s.Ballot = []peers.NodeID{plantest.ID("b"), plantest.ID("gone")}, "no answer", &peers.Ballot{}
	l := leaseOf(s)
	v := reflect.ValueOf(l)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not shown", v.Type().Field(i).Name)
		}
	}
	if l.Age != 60 || l.State != "confirmed" || len(l.PromisedBy) != 2 || l.PromisedBy[1] != (control.NodeName{ID: plantest.Key("gone")}) {
		t.Errorf("got %+v", l)
	}
}

func TestStatusLineOfALeaseThatIsLost(t *testing.T) {
	for want, s := range map[string]*peers.Snapshot{
		"lease: lost": {View: peers.View{Lease: peers.Lost}},
		"waiting: no answer from host-b; start the dead nodes, or strike out those that will not come back: flanneld forget " + plantest.Key("b"): {View: peers.View{
			Lease: peers.Lost, Waiting: "no answer from host-b", Ballot: &peers.Ballot{Missing: []peers.NodeID{plantest.ID("b")}}, Nodes: []peers.NodeInfo{plantest.Node("b", peers.Dead, 2)}}},
		// A lease that is confirmed is in use, whatever is waited for.
		"lease 10.244.1.0/24, 1 of 1 nodes alive": func() *peers.Snapshot {
			s := plantest.Snapshot(peers.Confirmed)
			s.Waiting = "the disk"
			return s
		}(),
	} {
		if got := StatusLine(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A subnet that has no holder any more, or none yet, is in no conflict.
func TestStaticPeersConflictWithHoldersOnly(t *testing.T) {
	static := plantest.StaticPeers(t, "10.244.4.0/23=192.0.2.9:8285")
	without := plantest.Node("b", peers.Alive, 4)
	without.Lease = peers.Lease{}
	for name, c := range map[string]struct {
		node peers.NodeInfo
		want int
	}{
		"holds it":    {plantest.Node("b", peers.Alive, 4), 1},
		"holds part":  {plantest.Node("b", peers.Alive, 5), 1},
		"is dead":     {plantest.Node("b", peers.Dead, 4), 1},
		"has left":    {plantest.Node("b", peers.Left, 4), 0},
		"has none":    {without, 0},
		"holds other": {plantest.Node("b", peers.Alive, 6), 0},
	} {
		got := conflicts(plantest.Snapshot(peers.Confirmed, c.node), static)
		if len(got) != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
