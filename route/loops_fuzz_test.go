// SPDX-License-Identifier: Apache-2.0

package route

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
	"flanneld/tun"
	"flanneld/tun/tuntest"
)

// fuzzLane is a lane with loops that a test steps by hand, with all routes of
// node a.
func fuzzLane(t *testing.T) (Config, *tuntest.Queue, *encaptest.Conn) {
	q, c := tuntest.NewQueue(), encaptest.NewConn()
	return testConfig(t, fakeLane(q, c)), q, c
}

// dropped counts the drops of one loop, whatever their reason.
func (c *counters) dropped() (n uint64) {
	for r := range c.drops {
		n += c.drops[r].Load()
	}
	return n
}

// Whatever a container sends, a packet leaves only from this node's lease to
// the peer that holds the destination. Each packet leaves or is counted.
func FuzzEgress(f *testing.F) {
	f.Add([]byte(packettest.Spec{Payload: packettest.Pattern(30)}.Build()), 1500)
	f.Add([]byte(packettest.Spec{Dst: "10.244.3.5", Payload: packettest.Pattern(600)}.Build()), 200)
	f.Add([]byte(packettest.Spec{Dst: "10.244.99.5", Flags: packet.FlagDF}.Build()), 1500)
	f.Add(packettest.IPv6(), 1500)
	f.Fuzz(func(t *testing.T, b []byte, path int) {
		cfg, q, c := fuzzLane(t)
		for _, e := range testEntries() {
			if e.Peer != nil {
				c.SetPathMTU(e.Peer.Endpoint().Addr(), path)
			}
		}
		e := newEgress(cfg.Lanes[0], &cfg, newICMPLimiter(), newMeter())
		q.Feed(b, packettest.Repair(b))
		if _, err := e.step(); err != nil {
			t.Fatal(err)
		}
		q.Close()
		c.Close()
		sent := c.Sent(1 << 20)
		if n := e.counters.dropped(); uint64(len(sent))+n < 2 {
			t.Errorf("2 packets, %d sent, %d drops", len(sent), n)
		}
		for _, d := range sent {
			p, err := packet.Parse(d.Payload)
			if err != nil || !testLease.Contains(p.Source()) {
				t.Fatalf("sent %x: %v", d.Payload, err)
			}
			if hop, ok := cfg.Table.Lookup(p.Destination()); !ok || hop.Kind != Via || hop.Endpoint != d.Addr {
				t.Fatalf("sent a packet for %s to %s", p.Destination(), d.Addr)
			}
		}
		for _, answer := range q.Written(1 << 20) {
			if p, err := packet.Parse(answer); err != nil || !testLease.Contains(p.Destination()) {
				t.Fatalf("answered %x: %v", answer, err)
			}
		}
	})
}

// Whatever arrives from any sender, only a whole packet from the sender's lease
// to ours gets in, and nothing is answered.
func FuzzIngress(f *testing.F) {
	good := []byte(packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Pattern(30)}.Build())
	f.Add(good, uint32(0xc0000202))                                                                  // 192.0.2.2, a peer
	f.Add(good, uint32(0xc6336401))                                                                  // 198.51.100.1, a stranger
	f.Add([]byte(packettest.Spec{Src: "10.244.3.5", Dst: "10.244.1.5"}.Build()), uint32(0xc0000202)) // another's lease
	f.Add(packettest.Pattern(1500), uint32(0xc0000202))
	f.Fuzz(func(t *testing.T, b []byte, from uint32) {
		cfg, q, c := fuzzLane(t)
		sender := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(from >> 24), byte(from >> 16), byte(from >> 8), byte(from)}), 8285)
		g := newIngress(cfg.Lanes[0], &cfg, newICMPLimiter(), newMeter())
		c.Deliver(encaptest.Datagram{Addr: sender, Payload: b}, encaptest.Datagram{Addr: sender, Payload: packettest.Repair(b)})
		if _, err := g.step(); err != nil {
			t.Fatal(err)
		}
		q.Close()
		c.Close()
		if sent := c.Sent(1); len(sent) > 0 {
			t.Fatalf("answered %x", sent[0].Payload)
		}
		written := q.Written(2)
		if n := g.counters.dropped(); n+uint64(len(written)) != 2 {
			t.Errorf("2 datagrams, %d written, %d drops", len(written), n)
		}
		for _, w := range written {
			p, err := packet.Parse(w)
			if err != nil || len(w) > cfg.MTU || !testLease.Contains(p.Destination()) {
				t.Fatalf("let in %x: %v", w, err)
			}
			if hop, ok := cfg.Table.Lookup(p.Source()); !ok || hop.Endpoint.Addr() != sender.Addr() {
				t.Fatalf("let in a packet of %s from %s", p.Source(), sender)
			}
		}
	})
}

// Whatever a train contains, and wherever it is cut, each datagram is written
// or counted, with the same outcome as without a train.
func FuzzTrain(f *testing.F) {
	good := []byte(packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Pattern(30)}.Build())
	other := []byte(packettest.Spec{Src: "10.244.3.5", Dst: "10.244.1.5", Payload: packettest.Pattern(30)}.Build())
	f.Add(slices.Concat(good, good, good), uint16(len(good)))
	f.Add(slices.Concat(good, other, good[:40]), uint16(len(good)))
	f.Add(good, uint16(7))
	f.Fuzz(func(t *testing.T, b []byte, size uint16) {
		if len(b) > packet.MaxLen || size == 0 || len(b)/int(size) > 200 {
			return
		}
		sender := netip.AddrPortFrom(addrB, 8285)
		var outcomes [2]struct {
			written [][]byte
			drops   map[Reason]uint64
		}
		for i := range outcomes {
			cfg, q, c := fuzzLane(t)
			q.SetOffloads(tun.Offloads{Checksum: true, TCP: i == 0, UDP: i == 0})
			g := newIngress(cfg.Lanes[0], &cfg, newICMPLimiter(), newMeter())
			datagrams := uint64(1)
			if i == 0 {
				c.Deliver(encaptest.Datagram{Addr: sender, Payload: b, SegmentSize: int(size)})
			} else {
				chunks := slices.Collect(slices.Chunk(b, int(size)))
				datagrams = uint64(max(1, len(chunks)))
				for _, chunk := range chunks {
					c.Deliver(encaptest.Datagram{Addr: sender, Payload: chunk})
				}
				if len(chunks) == 0 {
					c.Deliver(encaptest.Datagram{Addr: sender})
				}
			}
			for seen := uint64(0); seen < datagrams; seen = g.counters.traffic.packets.Load() + g.counters.dropped() {
				if _, err := g.step(); err != nil {
					t.Fatal(err)
				}
			}
			q.Close()
			d := newDirection(ingressReasons)
			g.counters.addTo(&d)
			outcomes[i].written, outcomes[i].drops = q.Written(1<<20), d.drops()
		}
		if !maps.Equal(outcomes[0].drops, outcomes[1].drops) || len(outcomes[0].written) != len(outcomes[1].written) {
			t.Fatalf("as a train: %d written, drops %v; one by one: %d, %v",
				len(outcomes[0].written), outcomes[0].drops, len(outcomes[1].written), outcomes[1].drops)
		}
	})
}
