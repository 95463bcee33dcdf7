// SPDX-License-Identifier: Apache-2.0

package route

import (
	"bytes"
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

// tcpSpec is a packet with a TCP header in front of the payload.
func tcpSpec(dst string, flags uint16, payload []byte) packettest.Spec {
	header := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(header, 1000)
	binary.BigEndian.PutUint16(header[2:], 80)
	header[12], header[13] = 5<<4, 0x18 // ACK, PSH
	return packettest.Spec{Dst: dst, Protocol: 6, ID: 100, Flags: flags, Payload: append(header, payload...)}
}

// segmentsOf is a superpacket's packets behind a router.
func segmentsOf(t *testing.T, p packet.Packet, size int) (packets [][]byte) {
	t.Helper()
	s, ok := tun.NewSegmenter(tun.Packet{Data: packettest.Forwarded(p), SegmentSize: size})
	if !ok {
		t.Fatal("not a superpacket")
	}
	for {
		header, payload, ok := s.Next(make([]byte, 120))
		if !ok {
			return packets
		}
		packets = append(packets, slices.Concat(header, payload))
	}
}

func sentPayloads(datagrams []encaptest.Datagram) (packets [][]byte) {
	for _, d := range datagrams {
		packets = append(packets, d.Payload)
	}
	return packets
}

func TestSuperpacketBecomesDatagrams(t *testing.T) {
	for _, segments := range []int{1, 64} { // a train may have
		n := start(t)
		n.conn.SetMaxSegments(segments)
		p := tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(45*1420)).Build()
		want := segmentsOf(t, p, 1420)
		n.queue.FeedSuperpacket(p, 1420)
		got := n.conn.Sent(len(want))
		if !slices.EqualFunc(sentPayloads(got), want, bytes.Equal) {
			t.Errorf("trains of %d: the datagrams are not the segments", segments)
		}
		if stats := n.finish(t); len(stats.Egress.drops()) > 0 || stats.Egress.Packets != uint64(len(want)) {
			t.Errorf("trains of %d: %d packets, drops %v; want %d and none", segments, stats.Egress.Packets, stats.Egress.drops(), len(want))
		}
		if messages := n.conn.Messages(); segments > 1 && messages != 2 { // 45 segments, 44 fit
			t.Errorf("%d messages, want 2", messages)
		}
	}
}

// 45 segments do not fit a train; the last of one superpacket joins the first
// of the next.
func TestTrainsGoOnBeyondSuperpackets(t *testing.T) {
	e, _, q, _ := fullLoops(t)
	c := encaptest.NewConn()
	c.SetMaxSegments(64)
	e.conn = c
	for range 3 {
		q.FeedSuperpacket(tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(45*1420)).Build(), 1420)
	}
	if _, err := e.step(); err != nil {
		t.Fatal(err)
	}
	if got := c.Messages(); got != 4 { // 135 segments, 44 fit
		t.Errorf("%d messages, want 4", got)
	}
}

func TestSmallPacketsOfAllFlowsFormTrains(t *testing.T) {
	e, _, q, _ := fullLoops(t)
	c := encaptest.NewConn()
	c.SetMaxSegments(64)
	e.conn = c
	var want [2][]encaptest.Datagram
	for i := range 100 {
		dst := []string{"10.244.2.5", "10.244.3.5"}[i%2]
		p := packettest.Spec{Src: "10.244.1." + string(rune('1'+i%7)), Dst: dst, ID: uint16(i), Payload: packettest.Pattern(36)}.Build()
		q.Feed(p)
		want[i%2] = append(want[i%2], encaptest.Datagram{Payload: packettest.Forwarded(p)})
	}
	if _, err := e.step(); err != nil {
		t.Fatal(err)
	}
	if got := c.Messages(); got != 2 {
		t.Errorf("%d messages, want one for each peer", got)
	}
	sent := c.Sent(100)
	for i, to := range []string{"192.0.2.2", "192.0.2.3"} {
		var got [][]byte
		for _, d := range sent {
			if d.Addr.Addr().String() == to {
				got = append(got, d.Payload)
			}
		}
		if !slices.EqualFunc(got, sentPayloads(want[i]), bytes.Equal) {
			t.Errorf("to %s: %d packets, not those sent in their order", to, len(got))
		}
	}
}

// A decision about a superpacket is counted for each segment, and answered
// once.
func TestSuperpacketsThatCannotGo(t *testing.T) {
	for name, test := range map[string]struct {
		spec   packettest.Spec
		drop   Reason
		answer icmpError
	}{
		"no route":  {tcpSpec("10.244.99.5", packet.FlagDF, packettest.Pattern(4000)), NoRoute, icmpError{3, 0}},
		"dead peer": {tcpSpec("10.244.4.5", packet.FlagDF, packettest.Pattern(4000)), PeerUnreachable, icmpError{3, 1}},
		"foreign": {func() packettest.Spec {
			s := tcpSpec("", packet.FlagDF, packettest.Pattern(4000))
			s.Src = "10.9.9.9"
			return s
		}(), ForeignSource, icmpError{}},
		"TTL":  {func() packettest.Spec { s := tcpSpec("", packet.FlagDF, packettest.Pattern(4000)); s.TTL = 1; return s }(), TTLExpired, icmpError{11, 0}},
		"ICMP": {packettest.Spec{Protocol: 1, Payload: packettest.Pattern(4000)}, BadLength, icmpError{}},
	} {
		n := start(t)
		n.conn.SetMaxSegments(64)
		n.queue.FeedSuperpacket(test.spec.Build(), 1000)
		stats := n.finish(t)
		want := uint64(4)
		if test.drop == BadLength {
			want = 1
		}
		if drops := stats.Egress.drops(); len(drops) != 1 || drops[test.drop] != want {
			t.Errorf("%s: drops %v, want %d for %s", name, drops, want, test.drop)
		}
		written := n.queue.Written(1)
		if (test.answer != icmpError{}) != (len(written) == 1) {
			t.Errorf("%s: %d answers", name, len(written))
		} else if len(written) == 1 && (icmpError{written[0][20], written[0][21]}) != test.answer {
			t.Errorf("%s: answer %x", name, written[0])
		}
		if sent := n.conn.Sent(1); len(sent) > 0 {
			t.Errorf("%s: sent", name)
		}
	}
}

// A path too narrow for the segments, known or detected, with DF and without.
func TestSuperpacketsOnNarrowPaths(t *testing.T) {
	for _, segments := range []int{1, 64} {
		for _, flags := range []uint16{packet.FlagDF, 0} {
			n := start(t)
			n.conn.SetMaxSegments(segments)
			n.conn.SetPathMTU(addrB, 1000)
			p := tcpSpec("10.244.2.5", flags, packettest.Pattern(6900)).Build()
			want := segmentsOf(t, p, 1400)
			for range 2 {
				n.queue.FeedSuperpacket(p, 1400)
				if flags == packet.FlagDF {
					answer := packet.Packet(n.queue.Written(1)[0]).Payload()
					if answer[0] != 3 || answer[1] != 4 || binary.BigEndian.Uint16(answer[6:]) != 972 {
						t.Errorf("answer %x; want type 3, code 4, MTU 972", answer[:packet.ICMPHeaderLen])
					}
					continue
				}
				byID := map[uint16][]packet.Packet{}
				for _, piece := range payloads(n.conn.Sent(2 * len(want))) {
					if len(piece) > 972 {
						t.Errorf("a fragment of %d bytes", len(piece))
					}
					id := binary.BigEndian.Uint16(piece[4:])
					byID[id] = append(byID[id], piece)
				}
				for i, w := range want {
					if whole, err := packettest.Reassemble(byID[100+uint16(i)]); err != nil || !bytes.Equal(whole, w) {
						t.Errorf("trains of %d: segment %d did not arrive: %v", segments, i, err)
					}
				}
			}
			stats := n.finish(t)
			if drops := stats.Egress.drops(); flags == 0 && len(drops) > 0 || flags != 0 && drops[NeedsFragmentation] < uint64(len(want)) {
				t.Errorf("flags %#x, trains of %d: drops %v", flags, segments, drops)
			}
		}
	}
}

// A received train goes in packet by packet, or as superpackets. A packet that
// must not enter is dropped alone.
func TestTrainsAreAdmittedPacketByPacket(t *testing.T) {
	for _, o := range []tun.Offloads{{}, {Checksum: true, TCP: true, UDP: true}} {
		super := tcpSpec("10.244.1.5", packet.FlagDF, packettest.Pattern(14000))
		super.Src, super.Dst, super.TTL = "10.244.2.5", "10.244.1.5", 65
		good := segmentsOf(t, super.Build(), 1400)
		foreign := slices.Clone(packet.Packet(good[3]))
		copy(foreign[12:], []byte{10, 244, 3, 5})
		foreign.SetChecksum()
		arriving := slices.Clone(good)
		arriving[3] = foreign
		n := start(t)
		n.queue.SetOffloads(o)
		n.conn.Deliver(encaptest.Datagram{Addr: netip.AddrPortFrom(addrB, 9), Payload: slices.Concat(arriving...), SegmentSize: len(good[0])})
		n.conn.Fail(errDone)
		<-n.ended
		want := slices.Delete(slices.Clone(good), 3, 4)
		if got := n.queue.Written(len(want)); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%+v: wrote %d packets, not the %d good ones", o, len(got), len(want))
		}
		stats := n.Stats()
		if !stats.Ingress.only(ForeignSource) || stats.Ingress.Packets != uint64(len(want)) {
			t.Errorf("%+v: %d packets, drops %v", o, stats.Ingress.Packets, stats.Ingress.drops())
		}
		if hop, _ := n.table.Lookup(netip.MustParseAddr("10.244.2.1")); hop != (NextHop{}) {
			if _, v := hop.Peer.Traffic(); v != stats.Ingress.Volume {
				t.Errorf("%+v: the peer has %+v, the total is %+v", o, v, stats.Ingress.Volume)
			}
		}
	}
}

// From container to container through two nodes: the output is what the kernel
// would have made from the superpackets, whatever is switched off.
func TestSuperpacketsAcrossTwoNodes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		trains := rapid.SampledFrom([]int{1, 64}).Draw(rt, "trains")
		o := tun.Offloads{Checksum: true, TCP: rapid.Bool().Draw(rt, "TCP"), UDP: rapid.Bool().Draw(rt, "UDP")}
		a, b := tuntest.NewQueue(), tuntest.NewQueue()
		wire := encaptest.NewConn()
		wire.SetMaxSegments(trains)
		cfg := testConfig(t, fakeLane(a, wire))
		e := newEgress(cfg.Lanes[0], &cfg, newICMPLimiter(), newMeter())
		back := encaptest.NewConn()
		b.SetOffloads(o)
		other := testConfig(t, fakeLane(b, back))
		other.Lease = netip.MustParsePrefix("10.244.2.0/24")
		if err := other.Table.store([]Entry{via("10.244.1.0/24", testPeer("a", "192.0.2.1:8285"))}); err != nil {
			rt.Fatal(err)
		}
		g := newIngress(other.Lanes[0], &other, newICMPLimiter(), newMeter())
		var want [][]byte
		for range rapid.IntRange(1, 4).Draw(rt, "superpackets") {
			size := rapid.IntRange(1, 1400).Draw(rt, "segment size")
			p := tcpSpec("10.244.2.5", 0, packettest.Pattern(rapid.IntRange(0, min(60000, 100*size)).Draw(rt, "payload"))).Build()
			a.FeedSuperpacket(p, size)
			want = append(want, segmentsOf(t, p, size)...)
		}
		for sent := 0; sent < len(want); {
			if _, err := e.step(); err != nil {
				rt.Fatal(err)
			}
			sent = int(e.counters.traffic.packets.Load())
		}
		// The receiver sees trains as they were sent, more or less.
		for _, d := range wire.Sent(len(want)) {
			back.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.1:8285"), Payload: d.Payload})
		}
		for written := 0; written < len(want); {
			if _, err := g.step(); err != nil {
				rt.Fatal(err)
			}
			written = int(g.counters.traffic.packets.Load())
		}
		got := b.Written(len(want))
		slices.SortFunc(got, bytes.Compare) // pure acknowledgments may overtake
		slices.SortFunc(want, bytes.Compare)
		if !slices.EqualFunc(got, want, bytes.Equal) {
			rt.Fatalf("%d packets arrived, other than the %d sent", len(got), len(want))
		}
	})
}

// Whatever the kernel's errors about superpackets and trains, no packet is lost
// uncounted.
func TestTrainThatLosesSome(t *testing.T) {
	c := encaptest.NewConnFunc(func(m *encap.Message) error {
		m.Lost = 2
		return encap.ErrBufferFull
	})
	n := start(t, func(cfg *Config) { cfg.Lanes[0].Conn = c })
	c.SetMaxSegments(64)
	for range 5 {
		n.queue.Feed(packettest.Spec{Payload: packettest.Pattern(100)}.Build())
	}
	stats := n.finish(t)
	if drops := stats.Egress.drops(); stats.Egress.Packets+drops[SendFailed] != 5 {
		t.Errorf("%d packets, drops %v; want 5 together", stats.Egress.Packets, drops)
	}
}
