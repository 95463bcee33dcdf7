// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// A node lets members of any network in while it is in none. When it is in one
// they are put out, at once. Members that it has let in meanwhile prove to be
// elsewhere when they are asked.
func TestMembersOfOtherNetworksArePutOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		enter func(g *Agent, id record.NetworkID)
	}{
		{"on entering", func(g *Agent, id record.NetworkID) { g.Enter(id, testNetwork) }},
		{"on being asked", func(g *Agent, id record.NetworkID) {
			about := *g.about.Load()
			about.Network, about.Prefix = id, testNetwork
			g.about.Store(&about)
			g.members.mu.Lock()
			defer g.members.mu.Unlock()
			g.members.network = id
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			one, two := testGossip(t, identityOf(1)), testGossip(t, identityOf(2))
			one.Enter(record.NetworkID{}, netip.Prefix{})
			if _, err := one.list.Join([]string{two.endpoint.String()}); err != nil {
				t.Fatal(err)
			}
			meeting(t, one, two)
			c.enter(one, record.NetworkID{9})
			if err := one.list.UpdateNode(giveUpAfter); err != nil {
				t.Fatal(err)
			}
			late := time.After(giveUpAfter)
			for one.members.size() > 0 || one.list.NumMembers() > 1 {
				select {
				case <-time.After(10 * time.Millisecond):
					one.askDue(time.Now())
				case <-late:
					t.Fatalf("%d nodes up, %d members of memberlist", one.members.size(), one.list.NumMembers())
				}
			}
			two.members.setHolders(map[record.NodeID]bool{identityOf(1).ID(): true}, map[netip.AddrPort]bool{one.endpoint: true})
			j := NewJoiner(two, nil, nil, nil, two.log)
			if err := j.join(one.endpoint); !errors.Is(err, errOtherNetwork) {
				t.Errorf("the other side is told %v", err)
			}
		})
	}
}

// A lease holder that has gone to another network answers questions still. It
// is not found: no exchange with it would bring it back.
func TestHolderInAnotherNetworkIsNotFound(t *testing.T) {
	t.Parallel()
	key, now := identityOf(2), time.Now()
	at := metaOf(key, 1, 1).At
	for _, c := range []struct {
		network record.NetworkID
		found   bool
	}{
		{record.NetworkID{}, true},
		{record.NetworkID{1}, true},
		{record.NetworkID{9}, false},
	} {
		r := newMembers(record.NodeID{1}, record.NetworkID{1})
		r.setHolders(map[record.NodeID]bool{key.ID(): true}, map[netip.AddrPort]bool{at: true})
		p := wire.Proof{Node: key.ID(), Start: 1, Instance: 1, Network: c.network, At: at}
		if r.proved(p, question{at: at, sent: now}, now); r.found() != c.found {
			t.Errorf("in network %v it counts as found: %v", c.network, r.found())
		}
	}
}

// A proof counts for the network that this node is in when it is taken in, not
// when it came. Between the two, the node may have entered another one.
func TestProofIsJudgedByTheNetworkOfItsMoment(t *testing.T) {
	t.Parallel()
	r, key, now := newMembers(record.NodeID{1}, record.NetworkID{}), identityOf(2), time.Now()
	m := metaOf(key, 1, 1)
	if v := r.consider(wire.Member{Node: m.Name(), At: m.At, Meta: m.Encode(key)}, m, false, now); v != asked {
		t.Fatalf("the applicant: %v", v)
	}
	r.leaveTo(record.NetworkID{1}) // the applicant is in no network, as far as its meta says
	a := r.proved(wire.Proof{Node: key.ID(), Start: 1, Instance: 1, Network: record.NetworkID{9}, At: m.At}, question{at: m.At, sent: now}, now)
	if a.proof || a.in.Node != "" || len(r.applicants) != 0 {
		t.Errorf("a node of another network is let in: %+v, %d applicants", a, len(r.applicants))
	}
}

// What a node of another network says in an exchange goes no further. One that
// is in no network yet may be told, and may tell.
func TestStateOfAnotherNetworkIsRefused(t *testing.T) {
	t.Parallel()
	g, key := testGossip(t, identityOf(1)), identityOf(2)
	for network, taken := range map[record.NetworkID]int{{1}: 1, {}: 1, {9}: 0} {
		b := append([]byte{wire.TheyDialed}, wire.EncodeState(wire.Meta{Network: network}, key, []byte("state"))...)
		before := g.NotTaken()
		delegate{g}.MergeRemoteState(b, true)
		if len(g.states) != taken || g.NotTaken() != before+uint64(1-taken) {
			t.Errorf("of network %s: %d states taken, %d not", network, len(g.states), g.NotTaken()-before)
		}
		for len(g.states) > 0 {
			g.TakeState(<-g.states)
		}
	}
}
