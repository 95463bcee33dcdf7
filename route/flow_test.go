package route

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"flanneld/encap"
	"flanneld/encap/encaptest"
	"flanneld/tun"
	"flanneld/tun/tuntest"
)

// ports is a UDP or TCP payload that begins with these ports.
func ports(source, destination uint16) []byte {
	b := pattern(20)
	binary.BigEndian.PutUint16(b, source)
	binary.BigEndian.PutUint16(b[2:], destination)
	return b
}

func TestFlowIsOfAddressesProtocolAndPorts(t *testing.T) {
	base := spec{payload: ports(1000, 53)}
	flow := base.build().flow()
	for name, same := range map[string]spec{
		"another packet":     {payload: append(ports(1000, 53), 1, 2, 3), id: 9, ttl: 3, flags: flagDF},
		"one with options":   {payload: ports(1000, 53), options: []byte{1, 1, 1, 1}},
		"its beginning only": {payload: ports(1000, 53)[:4]},
		"an answer":          {src: "10.244.2.5", dst: "10.244.1.5", payload: ports(53, 1000)},
	} {
		if got := same.build().flow(); got != flow {
			t.Errorf("%s: %#x, want %#x", name, got, flow)
		}
	}
	for name, other := range map[string]spec{
		"other source":           {src: "10.244.1.6", payload: ports(1000, 53)},
		"other destination":      {dst: "10.244.2.6", payload: ports(1000, 53)},
		"TCP":                    {protocol: protocolTCP, payload: ports(1000, 53)},
		"other source port":      {payload: ports(1001, 53)},
		"other destination port": {payload: ports(1000, 54)},
	} {
		if got := other.build().flow(); got == flow {
			t.Errorf("%s: %#x, the same", name, got)
		}
	}
}

// Only the first of a packet's fragments has the ports, so none may go by them.
func TestFragmentsStayTogether(t *testing.T) {
	want := spec{payload: ports(1000, 53), flags: flagMF}.build().flow()
	for name, fragment := range map[string]spec{
		"middle":             {payload: pattern(64), flags: flagMF | 3},
		"last":               {payload: pattern(3), flags: 11},
		"first of another":   {payload: ports(1001, 54), flags: flagMF, id: 77},
		"first, header only": {flags: flagMF},
	} {
		if got := fragment.build().flow(); got != want {
			t.Errorf("%s: %#x, want %#x", name, got, want)
		}
	}
	for name, without := range map[string]spec{
		"ICMP": {protocol: protocolICMP, payload: pattern(20)}, "GRE": {protocol: 47, payload: pattern(20)}, "short UDP": {payload: pattern(3)},
	} {
		a := without.build()
		without.id, without.ttl = 5, 9
		if b := without.build(); a.flow() != b.flow() {
			t.Errorf("%s: %#x and %#x", name, a.flow(), b.flow())
		}
	}
}

// Flows that differ little go to different sources all the same.
func TestFlowsSpread(t *testing.T) {
	for name, flow := range map[string]func(i int) packet{
		"source ports":      func(i int) packet { return spec{payload: ports(uint16(40000+i), 80)}.build() },
		"even source ports": func(i int) packet { return spec{payload: ports(uint16(40000+2*i), 80)}.build() },
		"hosts":             func(i int) packet { return spec{src: fmt.Sprintf("10.244.1.%d", i), payload: ports(4000, 80)}.build() },
		"pings":             func(i int) packet { return spec{dst: fmt.Sprintf("10.244.2.%d", i), protocol: protocolICMP}.build() },
	} {
		for _, sources := range []int{2, 4, 16} {
			count := make([]int, sources)
			const flows = 256
			for i := range flows {
				count[flow(i).flow()%sources]++
			}
			if even := flows / sources; slices.Min(count) < even/2 || slices.Max(count) > 2*even {
				t.Errorf("%s, %d sources: %v", name, sources, count)
			}
		}
	}
}

// Whatever a batch is made of, each flow leaves from one port and in its order.
func TestFlowsKeepTheirSourceAndOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const sources = 4
		conn := encaptest.NewConn()
		conn.SetSources(sources)
		conn.SetMaxSegments(rapid.SampledFrom([]int{1, encap.MaxSegments}).Draw(t, "segments"))
		out := newOutbox(batchSize)
		out.segments = conn.MaxSegments()
		hops := []*NextHop{{Endpoint: netip.MustParseAddrPort("192.0.2.2:8285")}, {Endpoint: netip.MustParseAddrPort("192.0.2.3:8285")}}
		n := rapid.IntRange(1, batchSize).Draw(t, "packets")
		for i := range n {
			flow := rapid.IntRange(0, 20).Draw(t, "flow")
			payload := append(ports(uint16(flow), 80), make([]byte, rapid.SampledFrom([]int{0, 0, 0, 10, 100}).Draw(t, "more"))...)
			p := spec{payload: payload, id: uint16(i)}.build()
			out.addPacket(hops[flow%len(hops)], exit{source: p.flow() % sources, express: flow%5 == 0}, p)
		}
		if sent, err := conn.Send(out.pending()); sent != out.n || err != nil {
			t.Fatalf("Send = %d, %v", sent, err)
		}
		type track struct {
			from exit
			id   int
		}
		last := make(map[uint16]track)
		for _, d := range conn.Sent(n) {
			p := packet(d.Payload)
			flow, id := binary.BigEndian.Uint16(p.payload()), int(binary.BigEndian.Uint16(p[4:]))
			from := exit{d.Source, d.Express}
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
	super := tcpSpec("10.244.2.5", flagDF, pattern(5000)).build()
	q.SetOffloads(tun.Offloads{Checksum: true, TCP: true, UDP: true})
	q.FeedSuperpacket(slices.Clone(super), 1000)
	long := spec{payload: pattern(3000)}.build()
	q.Feed(slices.Clone(long)) // longer than the peer's device takes
	e.table.load().lookup(netip.MustParseAddr("10.244.2.5")).Peer.Update(netip.MustParseAddrPort("192.0.2.2:8285"), 1400)
	if _, err := e.step(); err != nil {
		t.Fatal(err)
	}
	tcp, udp := super.flow()&15, long.flow()&15
	for i, d := range conn.Sent(5 + 3) {
		want := tcp
		if d.Payload[9] == protocolUDP {
			want = udp
		}
		if d.Source != want {
			t.Errorf("datagram %d, protocol %d, from source %d, want %d", i, d.Payload[9], d.Source, want)
		}
	}
}
