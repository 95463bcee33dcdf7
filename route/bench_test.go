// SPDX-License-Identifier: Apache-2.0

package route

import (
	"net/netip"
	"slices"
	"testing"

	"flanneld/encap"
	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
	"flanneld/tun"
	"flanneld/tun/tuntest"
)

// The loops over fakes that allocate nothing themselves: the remaining
// allocations are ours.

// fullLoops returns both loops of a lane with the routes of node a.
func fullLoops(tb testing.TB) (e *egress, g *ingress, q *tuntest.Queue, c *encaptest.Conn) {
	q = tuntest.NewQueueFunc(func([]byte) error { return nil })
	c = encaptest.NewConnFunc(func(m *encap.Message) error {
		if len(m.Buffers[0]) > 1300 && m.Addr.Port() == 9000 {
			return encap.ErrTooLong
		}
		return nil
	})
	c.SetPathMTU(netip.MustParseAddr("192.0.2.3"), 1300)
	e, g = loops(tb, q, c)
	return e, g, q, c
}

// loops are both directions of a lane with the routes of node a.
func loops(tb testing.TB, q *tuntest.Queue, c *encaptest.Conn) (*egress, *ingress) {
	cfg := testConfig(tb, fakeLane(q, c))
	return newEgress(cfg.Lanes[0], &cfg, newICMPLimiter(), newMeter()), newIngress(cfg.Lanes[0], &cfg, newICMPLimiter(), newMeter())
}

// mixedPackets is a batch with every kind of packet that a container may send.
func mixedPackets() [][]byte {
	packets := [][]byte{
		packettest.Spec{Payload: packettest.Pattern(100)}.Build(),
		packettest.Spec{Payload: packettest.Pattern(1400)}.Build(),
		packettest.Spec{Dst: "10.244.3.5", Payload: packettest.Pattern(1400)}.Build(),                       // fragmented
		packettest.Spec{Dst: "10.244.3.5", Payload: packettest.Pattern(1400), Flags: packet.FlagDF}.Build(), // answered
		packettest.Spec{Dst: "10.244.4.5"}.Build(),                                                          // answered: dead
		packettest.Spec{Dst: "10.244.9.5"}.Build(),                                                          // answered: no route
		packettest.Spec{TTL: 1}.Build(),                                                                     // answered
		packettest.Spec{Dst: "224.0.0.1"}.Build(),
		packettest.Spec{Src: "10.244.2.1"}.Build(),
		packettest.IPv6(),
	}
	for len(packets) < batchSize {
		packets = append(packets, packettest.Spec{Dst: "10.244.2.9", Payload: packettest.Pattern(1000)}.Build())
	}
	return packets
}

func TestEgressAllocatesNothing(t *testing.T) {
	e, _, q, _ := fullLoops(t)
	packets := mixedPackets()
	step := func() {
		q.Feed(packets...)
		if _, err := e.step(); err != nil {
			t.Fatal(err)
		}
	}
	step() // learns the path MTU
	for _, sources := range []int{1, encap.DefaultSources} {
		e.sources = sources
		if allocs := testing.AllocsPerRun(100, step); allocs != 0 {
			t.Errorf("%d sources: %v allocations a batch, want none", sources, allocs)
		}
	}
	if n := e.counters.traffic.packets.Load(); n == 0 {
		t.Error("nothing was sent")
	}
}

// superpackets are one batch of superpackets, and of other packets that fit.
func superpackets() (packets [][]byte) {
	for range 3 {
		packets = append(packets, tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(62000)).Build())
	}
	return packets
}

func TestSuperpacketsAllocateNothing(t *testing.T) {
	e, g, q, c := fullLoops(t)
	c.SetMaxSegments(64)
	q.SetOffloads(tun.Offloads{Checksum: true, TCP: true, UDP: true})
	packets := superpackets()
	step := func() {
		for _, p := range packets {
			q.FeedSuperpacket(p, 1400)
		}
		if _, err := e.step(); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if allocs := testing.AllocsPerRun(100, step); allocs != 0 {
		t.Errorf("egress: %v allocations a batch, want none", allocs)
	}
	super := tcpSpec("10.244.1.5", packet.FlagDF, packettest.Pattern(44*1400))
	super.Src = "10.244.2.5"
	train := encaptest.Datagram{
		Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: slices.Concat(segmentsOf(t, super.Build(), 1400)...), SegmentSize: 1440,
	}
	step = func() {
		c.Deliver(train, train, train)
		if _, err := g.step(); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if allocs := testing.AllocsPerRun(100, step); allocs != 0 {
		t.Errorf("ingress: %v allocations a batch, want none", allocs)
	}
	if n := g.counters.traffic.packets.Load(); n < 44*300 {
		t.Errorf("%d packets were written", n)
	}
}

// mixedDatagrams is a batch with every kind of datagram that may arrive.
func mixedDatagrams() []encaptest.Datagram {
	b := netip.MustParseAddrPort("192.0.2.2:8285")
	good := packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Pattern(1000)}.Build()
	datagrams := []encaptest.Datagram{
		{Addr: netip.MustParseAddrPort("198.51.100.1:8285"), Payload: good},
		{Addr: b, Payload: packettest.Spec{Src: "10.244.3.5", Dst: "10.244.1.5"}.Build()},
		{Addr: b, Payload: packettest.Spec{Src: "10.244.2.5", Dst: "10.244.5.5"}.Build()},
		{Addr: b, Payload: packettest.Pattern(2000)},
		{Addr: b, Payload: nil},
	}
	for len(datagrams) < batchSize {
		datagrams = append(datagrams, encaptest.Datagram{Addr: b, Payload: good})
	}
	return datagrams
}

func TestIngressAllocatesNothing(t *testing.T) {
	_, g, _, c := fullLoops(t)
	datagrams := mixedDatagrams()
	step := func() {
		c.Deliver(datagrams...)
		if _, err := g.step(); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if allocs := testing.AllocsPerRun(100, step); allocs != 0 {
		t.Errorf("%v allocations a batch, want none", allocs)
	}
	if n := g.counters.traffic.packets.Load(); n == 0 {
		t.Error("nothing was written")
	}
}

// BenchmarkEgress is the cost of a packet without the kernel's share.
func BenchmarkEgress(b *testing.B) {
	e, _, q, _ := fullLoops(b)
	packet := packettest.Spec{Payload: packettest.Pattern(1400)}.Build()
	batch := make([][]byte, batchSize)
	for i := range batch {
		batch[i] = packet
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n += batchSize {
		q.Feed(batch...)
		if _, err := e.step(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIngress is the cost of a packet without the kernel's share.
func BenchmarkIngress(b *testing.B) {
	_, g, _, c := fullLoops(b)
	d := encaptest.Datagram{
		Addr:    netip.MustParseAddrPort("192.0.2.2:8285"),
		Payload: packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Pattern(1400)}.Build(),
	}
	batch := make([]encaptest.Datagram, batchSize)
	for i := range batch {
		batch[i] = d
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n += batchSize {
		c.Deliver(batch...)
		if _, err := g.step(); err != nil {
			b.Fatal(err)
		}
	}
}
