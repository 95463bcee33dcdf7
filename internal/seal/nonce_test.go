// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNoNonceTwice runs random interleavings of three nodes, with loss,
// reordering, copies, flipped bits, restarts and changed keys. No key and nonce
// seal twice. No packet is accepted twice, altered, or as one of another node.
// In the end all nodes reach each other again.
func TestNoNonceTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, rapid.Uint64().Draw(rt, "seed"))
		suites := rapid.SampledFrom([][]Suite{nil, {AESGCM}, {ChaChaPoly}})
		for range 3 {
			w.add(func(c *Config) { c.Suites = suites.Draw(rt, "suites") })
		}
		for i, a := range w.nodes {
			for _, b := range w.nodes[i+1:] {
				w.meet(a, b)
			}
		}
		u := &usage{w: w, rt: rt, keys: map[string]string{}, sent: map[string]bool{}, got: map[string]bool{}}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			u.step()
		}
		u.recover()
	})
}

// usage is what nodes have used and accepted.
type usage struct {
	w      *world
	rt     *rapid.T
	keys   map[string]string // datagram by key and counter
	sent   map[string]bool   // packets
	got    map[string]bool
	number int
	looked int // how much of the flight was looked at
	flight []datagram
}

func (u *usage) node(label string) *host {
	return u.w.nodes[rapid.IntRange(0, len(u.w.nodes)-1).Draw(u.rt, label)]
}

func (u *usage) step() {
	w := u.w
	a := u.node("node")
	b := u.node("other")
	switch kind := rapid.IntRange(0, 20).Draw(u.rt, "kind"); {
	case kind < 6 && a != b:
		u.send(a, b)
	case kind < 14 && len(w.flight) > 0:
		u.deliver(rapid.IntRange(0, len(w.flight)-1).Draw(u.rt, "which"), rapid.IntRange(0, 9).Draw(u.rt, "fate"))
	case kind == 14:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(u.rt, "ms")) * time.Millisecond)
	case kind == 15 && rapid.Bool().Draw(u.rt, "restart"):
		w.restart(a)
	case kind == 16 && a != b:
		w.meet(a, b) // gossip brings the newest record
	case kind == 17 && a != b:
		a.RemovePeer(b.self)
		a.peers[b] = a.SetPeer(w.now, b.info(false))
	default:
		w.now = w.now.Add(100 * time.Millisecond)
		a.Tick(w.now, a.emit)
	}
	u.look()
}

func (u *usage) send(a, b *host) {
	u.number++
	packet := fmt.Sprintf("%d for %d", u.number, b.self[1])
	u.sent[fmt.Sprintf("%d:%s", a.self[1], packet)] = true
	a.send(b, u.number%4, packet)
}

// look notes the key and the counter of each new datagram.
func (u *usage) look() {
	for _, d := range u.w.flight[min(u.looked, len(u.w.flight)):] {
		h, ok := parseHeader(d.bytes)
		if !ok {
			continue
		}
		s := d.from.peers[d.to].current.Load()
		if s == nil || s.remote != h.index {
			continue // ended since
		}
		use := fmt.Sprintf("%x %d", streamKey(&s.send, h.stream), h.counter)
		if other, used := u.keys[use]; used && other != string(d.bytes) {
			u.rt.Fatalf("key and counter %s sealed two datagrams", use)
		}
		u.keys[use] = string(d.bytes)
	}
	u.looked = len(u.w.flight)
}

// deliver delivers a datagram, and may keep, lose or alter it.
func (u *usage) deliver(i, fate int) {
	w := u.w
	d := w.flight[i]
	if fate != 0 { // 0: a copy stays
		w.flight = append(w.flight[:i:i], w.flight[i+1:]...)
		u.looked--
	}
	switch fate {
	case 1: // lost
		return
	case 2: // altered
		altered := append([]byte(nil), d.bytes...)
		bit := rapid.IntRange(0, 8*len(altered)-1).Draw(u.rt, "bit")
		altered[bit/8] ^= 1 << (bit % 8)
		d.bytes = altered
	case 3: // to another node
		d.to = u.node("receiver")
	}
	u.look() // before answers follow
	d.to.receive(d)
	u.accepted()
}

func (u *usage) accepted() {
	for _, h := range u.w.nodes {
		for _, packet := range h.got {
			var from, number, to int
			if _, err := fmt.Sscanf(packet, "%d:%d for %d", &from, &number, &to); err != nil || !u.sent[packet] || to != int(h.self[1]) {
				u.rt.Fatalf("node %d accepted %q", h.self[1], packet)
			}
			if u.got[packet] {
				u.rt.Fatalf("node %d accepted %q twice", h.self[1], packet)
			}
			u.got[packet] = true
		}
		h.got = nil
	}
}

// recover ends all faults. Within half a minute all nodes reach each other.
func (u *usage) recover() {
	w := u.w
	w.flight = nil
	for i, a := range w.nodes {
		for _, b := range w.nodes[i+1:] {
			w.meet(a, b)
		}
	}
	for range 6 {
		for _, a := range w.nodes {
			for b := range a.peers {
				u.send(a, b)
			}
		}
		w.pass(5 * time.Second)
		u.accepted()
	}
	before := len(u.got)
	for _, a := range w.nodes {
		for b := range a.peers {
			u.send(a, b)
		}
	}
	w.settle()
	u.accepted()
	if got := len(u.got) - before; got != 6 {
		u.rt.Fatalf("%d of 6 packets arrive after all faults have ended", got)
	}
}
