// SPDX-License-Identifier: Apache-2.0

package route

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"flanneld/encap"
	"flanneld/encap/encaptest"
	"flanneld/internal/packet/packettest"
	"flanneld/internal/seal"
	"flanneld/tun/tuntest"
)

// sealedPackets are datagrams of one flow from a to b, the oldest first.
func sealedPackets(t *testing.T, a *sealedEnd, n int) [][]byte {
	t.Helper()
	for range n {
		a.queue.Feed(packettest.Spec{Dst: "10.244.2.5", Payload: packettest.Pattern(200)}.Build())
	}
	a.read(t)
	return sentPayloads(a.conn.Sent(n))
}

func TestLanesSightAPeerByItsNewestPackets(t *testing.T) {
	a, b := joined(t, seal.AESGCM)
	sent := sealedPackets(t, a, 6)
	forged := bytes.Clone(sent[4])
	forged[40] ^= 1
	keepalive := make([]byte, seal.Overhead)
	foreign := slices.Concat(make([]byte, seal.HeaderLen), packettest.Spec{Src: "10.244.3.5", Dst: "10.244.2.5"}.Build(), make([]byte, seal.TagLen))
	if stream := a.other.Sealed().Sending(3, time.Now()); !stream.Seal(keepalive) || !stream.Seal(foreign) {
		t.Fatal("not sealed")
	}
	moved := sealedAddress(77)
	for _, c := range []struct {
		name     string
		datagram []byte
		from     netip.AddrPort
		sighted  bool
	}{
		{"from its endpoint", sent[1], a.at, false},
		{"from its endpoint, by another port", sent[2], netip.AddrPortFrom(a.at.Addr(), 40001), false},
		{"older, from another address", sent[0], moved, false},
		{"replayed from another address", sent[2], moved, false},
		{"forged, from another address", forged, moved, false},
		{"plain, from another address", packettest.Spec{Src: "10.244.1.5", Dst: "10.244.2.5"}.Build(), moved, false},
		{"empty, from another address", keepalive, moved, false},
		{"with another's source", foreign, moved, false},
		{"the newest, from another address", sent[3], moved, true},
		{"the newest, from a third address", sent[5], sealedAddress(78), true},
	} {
		b.seen = nil
		b.take(t, c.from, c.datagram)
		if c.sighted && !slices.Equal(b.seen, []netip.Addr{c.from.Addr()}) || !c.sighted && len(b.seen) > 0 {
			t.Errorf("%s: sighted at %v, want %v", c.name, b.seen, c.sighted)
		}
	}
}

// A message of a handshake alone tells nothing.
func TestHandshakesAreNoSights(t *testing.T) {
	a, b := sealedPair(t, seal.AESGCM)
	a.other.Sealed().Hold(packettest.Spec{}.Build())
	a.node.Tick(time.Now(), func(_ *seal.Peer, datagram []byte) { b.take(t, sealedAddress(77), bytes.Clone(datagram)) })
	if len(b.asked) != 1 || len(b.seen) != 0 {
		t.Errorf("%d messages, sighted at %v", len(b.asked), b.seen)
	}
}

// What is reported is compared with the endpoint that counts from the last
// Store on, and the peer itself does nothing about it.
func TestSightsFollowTheEndpoint(t *testing.T) {
	a, b := joined(t, seal.AESGCM)
	sent := sealedPackets(t, a, 3)
	moved := sealedAddress(77)
	b.take(t, moved, sent[0])
	if len(b.seen) != 1 || b.other.Endpoint() != a.at {
		t.Fatalf("sighted at %v; the endpoint is %v", b.seen, b.other.Endpoint())
	}
	b.other.Update(moved, 0)
	if err := b.ingress.table.store([]Entry{{Prefix: netip.MustParsePrefix("10.244.1.0/24"), Kind: Via, Peer: b.other}}); err != nil {
		t.Fatal(err)
	}
	b.take(t, moved, sent[1])
	if len(b.seen) != 1 {
		t.Errorf("sighted at its endpoint: %v", b.seen)
	}
	b.take(t, a.at, sent[2])
	if len(b.seen) != 2 || b.seen[1] != a.at.Addr() {
		t.Errorf("sighted at %v, want it back", b.seen)
	}
}

func TestSightsAreToldOfAFewTimesASecond(t *testing.T) {
	p := NewPeer("b", sealedAddress(2), 0)
	now := time.Unix(1_800_000_000, 0)
	told := func(n byte) bool { return p.sighted(sealedAddress(n).Addr(), now) }
	if !told(5) || told(5) {
		t.Error("one address is not told of once")
	}
	more := 0
	for n := range byte(50) {
		if told(100 + n) {
			more++
		}
	}
	if more != maxSights-1 {
		t.Errorf("told of %d more addresses in a second, want %d", more, maxSights-1)
	}
	now = now.Add(time.Second)
	if !told(5) {
		t.Error("not told of in the next second")
	}
	if p.sighted(netip.MustParseAddr("2001:db8::1"), now) {
		t.Error("told of an IPv6 address")
	}
	if allocs := testing.AllocsPerRun(100, func() { told(5); told(6) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// A peer that stays sighted elsewhere, as behind NAT, costs no allocation for a
// packet either.
func TestSightsAllocateNothing(t *testing.T) {
	a, b := joined(t, seal.AESGCM)
	b.queue = tuntest.NewQueueFunc(func([]byte) error { return nil })
	b.ingress.queue = b.queue
	calls := 0
	b.ingress.sealing.Sighted = func(*Peer, netip.Addr) { calls++ }
	var sent []byte
	a.conn = encaptest.NewConnFunc(func(m *encap.Message) error { sent = append(sent[:0], m.Buffers[0]...); return nil })
	a.egress.conn = a.conn
	p := packettest.Spec{Dst: "10.244.2.5", Payload: packettest.Pattern(200)}.Build()
	at := sealedAddress(77)
	step := func() {
		a.queue.Feed(p)
		if _, err := a.egress.step(); err != nil {
			t.Fatal(err)
		}
		b.conn.Deliver(encaptest.Datagram{Addr: at, Payload: sent})
		if _, err := b.ingress.step(); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if allocs := testing.AllocsPerRun(200, step); allocs != 0 {
		t.Errorf("%v allocations a packet", allocs)
	}
	if calls == 0 || calls > maxSights {
		t.Errorf("%d sights", calls)
	}
}
