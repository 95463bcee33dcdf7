// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"flanneld/encap"
	"flanneld/internal/packet/packettest"
	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/internal/poll"
	"flanneld/internal/seal"
	"flanneld/peers"
	"flanneld/route"
	"flanneld/tun/tuntest"
)

// roamingHost is one of two hosts of a sealed network over the loopback
// interface: real lanes, sockets and sessions, and a device that only
// takes packets.
type roamingHost struct {
	t      *testing.T
	id     string
	n      byte // of 10.244.N.0/24
	secret byte
	start  uint64
	sealer *Sealer
	routes *Routes
	queue  *tuntest.Queue
	plane  *Plane
	end    func() // of the plane

	mu    sync.Mutex
	roams []Roamed
}

// roamingPort is the data port of all hosts, at addresses of their own. The
// same test can run twice at a time on one machine.
var roamingPort = uint16(20000 + os.Getpid()%20000)

// place is where a host is for the i-th time. Each test has its own places.
func (h *roamingHost) place(i byte) netip.AddrPort {
	var sum byte
	for _, c := range []byte(h.t.Name()) {
		sum = 31*sum + c
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 77, sum, h.n + 10*i}), roamingPort)
}

// record is what the node table says of the host at its i-th place.
func (h *roamingHost) record(i byte) peers.NodeInfo {
	n := plantest.Node(h.id, peers.Alive, h.n)
	public := seal.PrivateKey{h.secret}.Public()
	n.SealKey, n.Start, n.Instance, n.Endpoint = public[:], h.start, uint64(h.secret), h.place(i)
	return n
}

func newRoamingHost(t *testing.T, id string, n, secret byte) *roamingHost {
	t.Helper()
	h := &roamingHost{t: t, id: id, n: n, secret: secret, start: 1, routes: NewRoutes()}
	settings := Settings{Lanes: 1, Log: slog.New(slog.DiscardHandler)}
	var err error
	h.sealer, err = settings.NewSealer(peers.NetworkID{1}, h.record(0), peers.SealSecrets{Private: peers.Secret{secret}, Cluster: []peers.Secret{{8}}}, seal.Preferred())
	if err != nil {
		t.Fatal(err)
	}
	h.routes.Seal(h.sealer)
	h.routes.OnRoam(func(r Roamed) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.roams = append(h.roams, r)
	})
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { h.sealer.Run(ctx) })
	t.Cleanup(func() {
		h.leave()
		cancel()
		ended.Wait()
	})
	return h
}

// settle puts the host at its i-th place: new sockets, and lanes on them.
func (h *roamingHost) settle(i byte) {
	h.t.Helper()
	h.leave()
	conns, err := encap.Listen(h.place(i), encap.Config{Lanes: 1, Express: true})
	if err != nil {
		h.t.Fatal(err)
	}
	lease := h.record(i).Lease.Prefix
	p := &Plane{cfg: Config{Settings: Settings{Sealed: true}, Lease: lease, Routes: h.routes, Sealer: h.sealer}, sockets: conns}
	h.queue = tuntest.NewQueue()
	var lanes []route.Lane
	for _, c := range conns {
		lanes = append(lanes, route.Lane{Queue: h.queue, Conn: c, Waiter: poll.NewWaiter(c.Descriptor()), Express: c.Express()})
	}
	f, err := route.NewForwarder(route.Config{
		Lanes: lanes, Table: &h.routes.table, Lease: lease, MTU: 1440, Logger: slog.New(slog.DiscardHandler), Sealing: p.sealing(),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- f.Run(ctx) }()
	h.sealer.Use(p)
	h.end = func() {
		h.sealer.Use(nil)
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	}
}

// leave takes the host away from its place.
func (h *roamingHost) leave() {
	if h.end != nil {
		h.end()
		h.end = nil
	}
}

// knows gives the host a record of the other one.
func (h *roamingHost) knows(other peers.NodeInfo) {
	h.t.Helper()
	self := h.record(0)
	self.Self = true
	s := &peers.Snapshot{Self: self, View: peers.View{Network: peers.Network{Prefix: plantest.Network}, Lease: peers.Confirmed, Nodes: []peers.NodeInfo{self, other}}}
	if err := h.routes.Store(plan.Make(plan.Input{Snapshot: s, Loopback: true, Sealed: true}), s, slog.New(slog.DiscardHandler)); err != nil {
		h.t.Fatal(err)
	}
}

// peer is the other host, as this one knows it.
func (h *roamingHost) peer(other *roamingHost) *route.Peer {
	return h.routes.Peer(plantest.Key(other.id))
}

// packet is one of a container of the host to one of the other.
func (h *roamingHost) packet(other *roamingHost) []byte {
	source, destination := h.record(0).Lease.Prefix.Addr().Next(), other.record(0).Lease.Prefix.Addr().Next()
	return packettest.Spec{Src: source.String(), Dst: destination.String(), Payload: packettest.Pattern(64)}.Build()
}

// sends sends a packet to the other host.
func (h *roamingHost) sends(other *roamingHost) {
	h.t.Helper()
	if err := h.sealer.send(h.peer(other), h.packet(other)); err != nil {
		h.t.Fatal(err)
	}
}

// wants waits until the endpoint of the other host is a place, and checks that
// lanes and handshakes use it.
func (h *roamingHost) wants(other *roamingHost, place byte, within time.Duration) (after time.Duration) {
	h.t.Helper()
	start := time.Now()
	for h.peer(other).Endpoint() != other.place(place) {
		if after = time.Since(start); after > within {
			h.t.Fatalf("after %v the endpoint is %v, want %v", after, h.peer(other).Endpoint(), other.place(place))
		}
		time.Sleep(time.Millisecond)
	}
	after = time.Since(start)
	hop, _, _ := h.routes.Lookup(other.record(0).Lease.Prefix.Addr())
	if reached := (*h.sealer.reached.Load())[h.peer(other).Sealed()]; hop.Endpoint != other.place(place) || reached != h.peer(other) {
		h.t.Errorf("lanes send to %v, handshakes to %v", hop.Endpoint, reached.Endpoint())
	}
	return after
}

// follows lets the other host send until the endpoint is its place: on a busy
// machine a trial can take longer than the host has for its answer.
func (h *roamingHost) follows(other *roamingHost, place byte) (after time.Duration) {
	h.t.Helper()
	const limit, every = 20 * time.Second, 100 * time.Millisecond
	start := time.Now()
	for next := start; h.peer(other).Endpoint() != other.place(place) && time.Since(start) < limit; time.Sleep(time.Millisecond) {
		if !time.Now().Before(next) {
			other.sends(h)
			next = next.Add(every)
		}
	}
	h.wants(other, place, 0)
	return time.Since(start)
}

// roamed are the roams so far.
func (h *roamingHost) roamed() []Roamed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Roamed(nil), h.roams...)
}

// roamingPair makes two hosts with a session. Both lanes have carried a packet.
func roamingPair(t *testing.T) (a, b *roamingHost) {
	t.Helper()
	a, b = newRoamingHost(t, "a", 1, 21), newRoamingHost(t, "b", 2, 22)
	a.settle(0)
	b.settle(0)
	a.knows(b.record(0))
	b.knows(a.record(0))
	a.sends(b)
	b.queue.Written(1)
	b.sends(a)
	a.queue.Written(1)
	return a, b
}

func TestASealedHostThatHasMovedIsSentToAtOnce(t *testing.T) {
	t.Parallel()
	a, b := roamingPair(t)
	b.settle(1)
	t.Logf("roamed after %v", a.follows(b, 1))
	a.sends(b)
	b.queue.Written(1)
	roams := a.roamed()
	if len(roams) != 1 || roams[0].Route.Name != "host-b" || roams[0].From != b.place(0) || roams[0].To != b.place(1) || roams[0].Why == "" {
		t.Errorf("told of %+v", roams)
	}
	if all := a.routes.Roamed(); len(all) != 1 || all[plantest.Key("b")] != b.place(1) {
		t.Errorf("shown as %v", all)
	}
	// Another change of routes leaves it there, the same record too.
	a.knows(b.record(0))
	a.wants(b, 1, 0)
	// It goes back, before any record has said a word.
	b.settle(0)
	a.follows(b, 0)
	a.sends(b)
	b.queue.Written(1)
	// And a new record wins over where it is.
	b.settle(1)
	a.follows(b, 1)
	b.start++
	a.knows(b.record(2))
	a.wants(b, 2, 0)
	if all := a.routes.Roamed(); len(all) > 0 {
		t.Errorf("shown as %v", all)
	}
	if n := a.routes.Roams(); n != 3 {
		t.Errorf("counted %d times, want 3: away, back, and away", n)
	}
}

// An attacker has the newest datagram of a host first, and forwards it from its
// own address. It cannot answer, so nothing moves. A copy that comes later is
// not even a sight.
func TestADatagramFromAnotherAddressMovesNothing(t *testing.T) {
	t.Parallel()
	a, b := roamingPair(t)
	attacker, err := encap.Listen(b.place(6), encap.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer attacker[0].Close()
	var stolen []byte
	b.sealer.node.Send(time.Now(), b.peer(a).Sealed(), b.packet(a), func(_ *seal.Peer, d []byte) { stolen = bytes.Clone(d) })
	forged := bytes.Clone(stolen)
	forged[len(forged)-1] ^= 1
	for _, d := range [][]byte{forged, stolen, stolen, stolen} {
		if err := attacker[0].SendOne(a.place(0), d); err != nil {
			t.Fatal(err)
		}
	}
	a.queue.Written(1) // one of the four
	asked := encap.NewMessages(8, 2048)
	questions := 0
	for end := time.Now().Add(trialQuestions*trialEvery + time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		n, err := attacker[0].Receive(asked)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked[:n] {
			questions++
			if m.N > len(stolen) || !seal.IsData(m.Buffers[0][:m.N]) {
				t.Errorf("the attacker got %x", m.Buffers[0][:m.N])
			}
		}
		a.wants(b, 0, 0)
	}
	if questions == 0 || questions > trialQuestions {
		t.Errorf("the attacker got %d datagrams, want %d questions at most", questions, trialQuestions)
	}
	if roams := a.roamed(); len(roams) > 0 {
		t.Errorf("told of %+v", roams)
	}
	a.sends(b)
	b.queue.Written(1)
}

// The roamed address dies, the record is right, and the host itself is silent.
func TestTrafficGoesToTheRecordAgainWhereARoamedAddressDies(t *testing.T) {
	t.Parallel()
	a, b := roamingPair(t)
	b.settle(1)
	a.follows(b, 1)
	b.settle(0)
	t.Logf("back after %v", a.wants(b, 0, 20*time.Second))
	a.sends(b)
	b.queue.Written(1)
	if roams := a.roamed(); len(roams) != 2 || roams[1].To != b.place(0) || roams[1].Why == roams[0].Why {
		t.Errorf("told of %+v", roams)
	}
}
