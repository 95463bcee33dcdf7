// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/seal"
	"flanneld/peers"
)

// sealedNode is a node that announces a key to seal with.
func sealedNode(id string, n, key byte) peers.NodeInfo {
	node := plantest.Node(id, peers.Alive, n)
	public := seal.PrivateKey{key}.Public()
	node.SealKey, node.Start, node.Instance = public[:], 1, uint64(key)
	return node
}

func newTestSealer(t testing.TB) *Sealer {
	t.Helper()
	settings := Settings{Lanes: 1, Log: slog.New(slog.DiscardHandler)}
	self := peers.NodeInfo{ID: plantest.ID("self"), Start: 1, Instance: 1}
	s, err := settings.NewSealer(peers.NetworkID{1}, self, peers.SealSecrets{Private: peers.Secret{9}, Cluster: []peers.Secret{{8}}}, seal.Preferred())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.node.Close)
	return s
}

func TestSessionsFollowThePlan(t *testing.T) {
	s := newTestSealer(t)
	routes := NewRoutes()
	routes.Seal(s)
	store := func(nodes ...peers.NodeInfo) {
		t.Helper()
		snapshot := plantest.Snapshot(peers.Confirmed, nodes...)
		if err := routes.Store(plan.Make(plan.Input{Snapshot: snapshot}), snapshot, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	}
	sessions := func(id string) *seal.Peer { return routes.Peer(plantest.Key(id)).Sealed() }
	b := sealedNode("b", 2, 2)
	store(b, sealedNode("c", 3, 3), plantest.Node("d", peers.Alive, 4))
	first := sessions("b")
	if first == nil || sessions("c") == nil || sessions("c") == first {
		t.Fatal("nodes with a key have no sessions of their own")
	}
	if sessions("d") != nil {
		t.Error("a node without a key has sessions")
	}
	if to := (*s.reached.Load())[first].Endpoint(); to != b.Endpoint {
		t.Errorf("messages go to %s, want %s", to, b.Endpoint)
	}
	if overhead := routes.Peer(plantest.Key("b")).Overhead(); overhead != 60 {
		t.Errorf("overhead of %d bytes, want 60", overhead)
	}
	store(b, sealedNode("c", 3, 33))
	if sessions("b") != first {
		t.Error("sessions do not outlive a change of other nodes")
	}
	third := sessions("c")
	store(b)
	if len(s.Status().Peers) != 1 {
		t.Errorf("sessions of a node that is gone are kept: %v", s.Status().Peers)
	}
	if third.Hold([]byte{1}) != 1 {
		t.Error("a packet waits for a node that is gone")
	}
	store(sealedNode("b", 2, 22))
	if sessions("b") == first {
		t.Error("sessions outlive the key of a node")
	}
}

func TestMessagesOfHandshakesAreBounded(t *testing.T) {
	s := newTestSealer(t)
	from := netip.MustParseAddrPort("192.0.2.9:1")
	if s.Handshake(from, make([]byte, maxHandshake+1)) {
		t.Error("a message that is too long is kept")
	}
	for i := range handshakeRoom {
		if !s.Handshake(from, []byte{0x81}) {
			t.Fatalf("no room for message %d", i)
		}
	}
	if s.Handshake(from, []byte{0x81}) {
		t.Error("there is room for a flood")
	}
}

func TestASealedPlaneNeedsSessions(t *testing.T) {
	for _, cfg := range []Config{{Settings: Settings{Sealed: true}}, {Sealer: newTestSealer(t)}} {
		if p, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "sessions") {
			t.Errorf("%v, %v", p, err)
		}
	}
}

func TestSealerEndsWithItsKeys(t *testing.T) {
	s := newTestSealer(t)
	peer := s.node.SetPeer(time.Now(), seal.PeerInfo{ID: seal.NodeID{5}, Key: seal.PrivateKey{5}.Public(), Instance: 1})
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	cancel()
	<-ended
	if peer.Hold([]byte{1}) != 1 || len(s.Status().Peers) != 0 {
		t.Error("there are sessions after the end")
	}
}

// The more messages come, the shorter is the rest. Whatever comes, the inbox
// has room for it, up to 300,000 a second.
func TestFloodsOfHandshakesAreTakenTogether(t *testing.T) {
	for _, perSecond := range []int{1, 1000, 16_667, 50_000, 300_000} {
		const rounds = 100
		var rest, elapsed time.Duration
		most := 0
		for range rounds {
			come := max(1, int(rest.Seconds()*float64(perSecond)))
			most = max(most, come)
			rest = restAfter(rest, come, true)
			elapsed += rest
		}
		t.Logf("%d a second: %d together at most, %.0f wakes a second", perSecond, most, rounds/elapsed.Seconds())
		if most > handshakeRoom {
			t.Errorf("%d a second: %d messages find no room", perSecond, most-handshakeRoom)
		}
		if perSecond <= 16_667 && elapsed < rounds*longRest*9/10 {
			t.Errorf("%d a second: rests of %v on average", perSecond, elapsed/rounds)
		}
		if rest = restAfter(rest, 1, false); rest != 0 {
			t.Errorf("%d a second: a message that fits is followed by a rest of %v", perSecond, rest)
		}
	}
}

// BenchmarkGarbageHandshake is what a message costs that looks like a handshake
// and was made without the cluster key, from the lane on.
func BenchmarkGarbageHandshake(b *testing.B) {
	s := newTestSealer(b)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	s.Use(new(Plane))
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	message := make([]byte, 184) // message 1, with a code of zeroes
	message[0], message[1] = 0x81, 1
	from := netip.MustParseAddrPort("192.0.2.9:1")
	b.ReportAllocs()
	for b.Loop() {
		for !s.Handshake(from, message) {
			runtime.Gosched()
		}
	}
	cancel()
	<-ended
}
