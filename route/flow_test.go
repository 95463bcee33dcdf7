// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"flanneld/encap"
	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
	"flanneld/tun"
	"flanneld/tun/tuntest"
)

// Whatever a batch contains, each flow leaves from one port and in its order.
func TestFlowsKeepTheirSourceAndOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const sources = 4
		conn := encaptest.NewConn()
		conn.SetSources(sources)
		conn.SetMaxSegments(rapid.SampledFrom([]int{1, encap.MaxSegments}).Draw(t, "segments"))
		out := newOutbox(batchSize, nil)
		out.segments = conn.MaxSegments()
		hops := []*NextHop{{Endpoint: netip.MustParseAddrPort("192.0.2.2:8285")}, {Endpoint: netip.MustParseAddrPort("192.0.2.3:8285")}}
		n := rapid.IntRange(1, batchSize).Draw(t, "packets")
		for i := range n {
			flow := rapid.IntRange(0, 20).Draw(t, "flow")
			payload := append(packettest.Ports(uint16(flow), 80), make([]byte, rapid.SampledFrom([]int{0, 0, 0, 10, 100}).Draw(t, "more"))...)
			p := packettest.Spec{Payload: payload, ID: uint16(i)}.Build()
			out.addPacket(hops[flow%len(hops)], sourcePort{source: p.Flow() % sources, express: flow%5 == 0}, p)
		}
		if sent, err := conn.Send(out.pending()); sent != out.n || err != nil {
			t.Fatalf("Send = %d, %v", sent, err)
		}
		type track struct {
			from sourcePort
			id   int
		}
		last := make(map[uint16]track)
		for _, d := range conn.Sent(n) {
			p := packet.Packet(d.Payload)
			flow, id := binary.BigEndian.Uint16(p.Payload()), int(binary.BigEndian.Uint16(p[4:]))
			from := sourcePort{d.Source, d.Express}
			if before, seen := last[flow]; seen && (before.from != from || before.id >= id) {
				t.Fatalf("flow %d: packet %d from %+v after %d from %+v", flow, id, from, before.id, before.from)
			}
			last[flow] = track{from, id}
		}
	})
}

// The segments of a superpacket and the fragments of a packet go the way of
// their flow, in the loop, too.
func TestLoopSendsFromTheSourceOfTheFlow(t *testing.T) {
	conn := encaptest.NewConn()
	conn.SetSources(16)
	conn.SetMaxSegments(encap.MaxSegments)
	q := tuntest.NewQueue()
	e, _ := loops(t, q, conn)
	super := tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(5000)).Build()
	q.SetOffloads(tun.Offloads{Checksum: true, TCP: true, UDP: true})
	q.FeedSuperpacket(slices.Clone(super), 1000)
	long := packettest.Spec{Payload: packettest.Pattern(3000)}.Build()
	q.Feed(slices.Clone(long)) // longer than the peer's device takes
	e.table.load().lookup(netip.MustParseAddr("10.244.2.5")).Peer.Update(netip.MustParseAddrPort("192.0.2.2:8285"), 1400)
	if _, err := e.step(); err != nil {
		t.Fatal(err)
	}
	tcp, udp := super.Flow()&15, long.Flow()&15
	for i, d := range conn.Sent(5 + 3) {
		want := tcp
		if d.Payload[9] == packet.UDP {
			want = udp
		}
		if d.Source != want {
			t.Errorf("datagram %d, protocol %d, from source %d, want %d", i, d.Payload[9], d.Source, want)
		}
	}
}
