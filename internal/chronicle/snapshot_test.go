// SPDX-License-Identifier: Apache-2.0

package chronicle

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/control"
	"flanneld/peers"
)

func id(b byte) (n peers.NodeID) {
	n[0] = b
	return n
}

func node(b byte, name string, state peers.State, subnet string) peers.NodeInfo {
	n := peers.NodeInfo{ID: id(b), Name: name, State: state, Start: 1, Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 1, b}), 8285)}
	if subnet != "" {
		n.Lease = peers.Lease{Prefix: netip.MustParsePrefix(subnet), Epoch: 1, Electors: 3, Promises: 2}
	}
	return n
}

func snapshot(change func(*peers.Snapshot), nodes ...peers.NodeInfo) *peers.Snapshot {
	s := &peers.Snapshot{}
	s.Network.Prefix = netip.MustParsePrefix("10.244.0.0/16")
	s.Self = node(1, "a", peers.Alive, "10.244.1.0/24")
	s.Self.Self = true
	s.Lease = peers.Confirmed
	s.Nodes = append([]peers.NodeInfo{s.Self}, nodes...)
	if change != nil {
		change(s)
	}
	return s
}

func said(events []control.Event) (all []string) {
	for _, e := range events {
		all = append(all, e.Kind+" "+e.What)
	}
	return all
}

func TestWhatChangesBetweenSnapshotsIsAnEvent(t *testing.T) {
	b := node(2, "b", peers.Alive, "10.244.2.0/24")
	with := func(change func(*peers.NodeInfo)) peers.NodeInfo {
		n := b
		change(&n)
		return n
	}
	dead := with(func(n *peers.NodeInfo) { n.State = peers.Dead })
	claim := &peers.Ballot{Prefix: netip.MustParsePrefix("10.244.3.0/24"), Electors: 3, Needed: 2}
	dispute := []peers.Conflict{{Prefix: b.Lease.Prefix, Winner: id(2), Loser: id(3)}}
	for name, c := range map[string]struct {
		before, now *peers.Snapshot
		want        []string
	}{
		"nothing":       {snapshot(nil, b), snapshot(nil, b), nil},
		"first":         {nil, snapshot(nil, dead), []string{"lease confirmed"}},
		"new member":    {snapshot(nil), snapshot(nil, b), []string{"member up", "lease held"}},
		"dead":          {snapshot(nil, b), snapshot(nil, dead), []string{"member dead"}},
		"suspected":     {snapshot(nil, b), snapshot(nil, with(func(n *peers.NodeInfo) { n.State = peers.Suspect })), nil},
		"back":          {snapshot(nil, dead), snapshot(nil, b), []string{"member up"}},
		"left":          {snapshot(nil, b), snapshot(nil, node(2, "b", peers.Left, "")), []string{"member left", "lease released"}},
		"forgotten":     {snapshot(nil, dead), snapshot(nil), []string{"member forgotten"}},
		"restarted":     {snapshot(nil, b), snapshot(nil, with(func(n *peers.NodeInfo) { n.Start = 2 })), []string{"member restarted"}},
		"another lease": {snapshot(nil, b), snapshot(nil, node(2, "b", peers.Alive, "10.244.9.0/24")), []string{"lease released", "lease held"}},
		"moved": {snapshot(nil, b), snapshot(nil, with(func(n *peers.NodeInfo) {
			n.Endpoint, n.Start = netip.MustParseAddrPort("192.168.9.9:8285"), 2
		})), []string{"member moved"}},
		"claiming":  {snapshot(unleased), snapshot(func(s *peers.Snapshot) { unleased(s); s.Ballot = claim }), []string{"lease claiming"}},
		"waiting":   {snapshot(unleased), snapshot(func(s *peers.Snapshot) { unleased(s); s.Waiting = "no answer from b" }), []string{"lease waiting"}},
		"confirmed": {snapshot(unleased), snapshot(nil), []string{"lease confirmed"}},
		"lost":      {snapshot(nil), snapshot(func(s *peers.Snapshot) { unleased(s); s.Lease = peers.Lost }), []string{"lease lost"}},
		"conflict":  {snapshot(nil, b), snapshot(func(s *peers.Snapshot) { s.Conflicts = dispute }, b), []string{"lease conflict"}},
		"settled":   {snapshot(func(s *peers.Snapshot) { s.Conflicts = dispute }, b), snapshot(nil, b), []string{"lease settled"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Snapshots(c.before, c.now)
			if !slices.Equal(said(got), c.want) {
				t.Errorf("got %v, want %v", said(got), c.want)
			}
			for _, e := range got {
				if !slices.Contains(control.EventKinds, e.Kind) || e.Text == "" || strings.ContainsAny(e.Text+e.Why, "%\n") {
					t.Errorf("event %+v", e)
				}
			}
		})
	}
}

func unleased(s *peers.Snapshot) {
	s.Lease, s.Self.Lease = peers.Claiming, peers.Lease{}
	s.Nodes[0].Lease = peers.Lease{}
}

func TestAnEventNamesTheNodeAndWhy(t *testing.T) {
	b := node(2, "b", peers.Dead, "10.244.2.0/24")
	up := b
	up.State, up.Start = peers.Alive, 2
	e := Snapshots(snapshot(nil, b), snapshot(nil, up))[0]
	if e.Node.Name != "b" || e.Node.ID != id(2).String() || e.Prefix != b.Lease.Prefix || e.Why != "it was started" {
		t.Errorf("got %+v", e)
	}
}
