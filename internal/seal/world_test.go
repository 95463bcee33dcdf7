// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// world is a network of nodes in virtual time. Datagrams wait in flight until a
// test delivers them.
type world struct {
	t      testing.TB
	now    time.Time
	random *rand.ChaCha8
	nodes  []*host
	flight []datagram
}

// host is a node with what surrounds it.
type host struct {
	*Node
	w     *world
	at    netip.Addr
	peers map[*host]*Peer
	got   []string // packets that were opened, with their sender
	why   map[Reason]int
	woken int

	behind  time.Duration // how far its clock is behind the world's
	stopped bool          // it does nothing, and what arrives waits
	waiting []datagram    // until it goes on
}

// clock is the time as the host sees it.
func (h *host) clock() time.Time { return h.w.now.Add(-h.behind) }

// stop stops a host, as SIGSTOP does. Its clock goes on.
func (h *host) stop() { h.stopped = true }

// suspend stops a host and its clock, as a hypervisor does that pauses it.
func (h *host) suspend(d time.Duration) { h.stopped, h.behind = true, h.behind+d }

// resume lets a host go on. First it gets what its socket has kept: the first
// datagrams of those that came.
func (h *host) resume() {
	const socket = 200 // datagrams
	h.stopped = false
	waited := h.waiting
	h.waiting = nil
	for _, d := range waited[:min(socket, len(waited))] {
		h.receive(d)
	}
}

// datagram is on its way.
type datagram struct {
	from, to *host
	bytes    []byte
}

var clusterA = bytes.Repeat([]byte{0xA1}, 32)

func newWorld(t testing.TB, seed uint64) *world {
	var b [32]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	return &world{t: t, now: time.Unix(1_000_000, 0), random: rand.NewChaCha8(b)}
}

// pair makes a world of two nodes that know each other. The first one has the
// lower ID.
func pair(t testing.TB) (*world, *host, *host) {
	w := newWorld(t, 1)
	a, b := w.add(nil), w.add(nil)
	w.meet(a, b)
	return w, a, b
}

// add makes a node. Its ID is its number.
func (w *world) add(change func(*Config)) *host {
	w.t.Helper()
	number := len(w.nodes) + 1
	h := &host{w: w, at: netip.AddrFrom4([4]byte{10, 0, byte(number >> 8), byte(number)}),
		peers: map[*host]*Peer{}, why: map[Reason]int{}}
	cfg := Config{Cluster: clusterA, Start: 1, Instance: uint64(number), Lanes: 2, Random: w.random, Wake: func() { h.woken++ }}
	binary.BigEndian.PutUint16(cfg.Self[:], uint16(number))
	cfg.Network[0] = 7
	if _, err := w.random.Read(cfg.Private[:]); err != nil {
		w.t.Fatal(err)
	}
	if change != nil {
		change(&cfg)
	}
	n, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	h.Node = n
	w.nodes = append(w.nodes, h)
	return h
}

func (h *host) info(eager bool) PeerInfo {
	return PeerInfo{ID: h.self, Key: h.public, Instance: h.instance, Suites: h.suites, Eager: eager}
}

// meet lets two nodes know each other.
func (w *world) meet(a, b *host) {
	a.peers[b] = a.SetPeer(w.now, b.info(false))
	b.peers[a] = b.SetPeer(w.now, a.info(false))
}

// restart replaces a node by one that has forgotten all but its identity.
func (w *world) restart(old *host) {
	n, err := New(Config{Self: old.self, Network: old.network, Private: old.private, Cluster: clusterA, Start: old.start + 1, Instance: old.instance + 100,
		Lanes: old.lanes, Random: w.random})
	if err != nil {
		w.t.Fatal(err)
	}
	old.Node = n
	for p := range old.peers {
		old.peers[p] = n.SetPeer(w.now, p.info(false))
	}
}

func (h *host) emit(to *Peer, b []byte) {
	copied := bytes.Clone(b)
	for _, other := range h.w.nodes {
		if other.self == to.id {
			h.w.flight = append(h.w.flight, datagram{h, other, copied})
			return
		}
	}
}

// send sends a packet as a lane does.
func (h *host) send(to *host, stream int, packet string) {
	p := h.peers[to]
	st := p.Sending(stream, h.clock())
	if st == nil {
		p.Hold([]byte(packet))
		return
	}
	b := append(append(make([]byte, HeaderLen), packet...), make([]byte, TagLen)...)
	if !st.Seal(b) {
		h.w.t.Errorf("a stream is spent")
		return
	}
	h.emit(p, b)
}

// receive takes a datagram as a lane does.
func (h *host) receive(d datagram) Reason {
	if h.stopped {
		h.waiting = append(h.waiting, d)
		return OK
	}
	if !IsData(d.bytes) {
		reason := h.Handle(h.clock(), d.from.at, bytes.Clone(d.bytes), h.emit)
		h.why[reason]++
		return reason
	}
	var out [MaxTrain]Opened
	h.Open(h.clock(), bytes.Clone(d.bytes), 0, &out)
	o := &out[0]
	h.why[o.Reason]++
	if o.Reason == OK && len(o.Packet) > 0 {
		h.got = append(h.got, fmt.Sprintf("%d:%s", o.Peer.id[1], o.Packet))
	}
	return o.Reason
}

// tick lets all nodes do what is due.
func (w *world) tick() {
	for _, h := range w.nodes {
		if next := h.Next(); !h.stopped && !next.IsZero() && !h.clock().Before(next) {
			h.Tick(h.clock(), h.emit)
		}
	}
}

// settle delivers what is in flight, and what follows from it.
func (w *world) settle() {
	for range 1000 {
		w.tick()
		if len(w.flight) == 0 {
			return
		}
		d := w.flight[0]
		w.flight = w.flight[1:]
		d.to.receive(d)
	}
	w.t.Fatal("the nodes do not come to rest")
}

// pass lets time pass, and everything happen that is due in it.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for {
		w.settle()
		next := end
		for _, h := range w.nodes {
			if at := h.Next(); !h.stopped && !at.IsZero() && at.Add(h.behind).Before(next) {
				next = at.Add(h.behind)
			}
		}
		if !next.After(w.now) {
			if !w.now.Before(end) {
				return
			}
			next = w.now.Add(time.Millisecond)
		}
		w.now = next
	}
}

// connect makes a session between two nodes.
func (w *world) connect(a, b *host) {
	w.t.Helper()
	a.send(b, 0, "first")
	w.settle()
	if a.peers[b].current.Load() == nil || b.peers[a].current.Load() == nil {
		w.t.Fatalf("no session: %v %v", a.why, b.why)
	}
	a.got, b.got = nil, nil
}

func (h *host) wants(packets ...string) {
	h.w.t.Helper()
	if fmt.Sprint(h.got) != fmt.Sprint(packets) {
		h.w.t.Errorf("node %d got %q, want %q (%v)", h.self[1], h.got, packets, h.why)
	}
	h.got = nil
}
