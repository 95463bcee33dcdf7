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

// narrowingConn is a Conn with paths that become narrower while it sends:
// before each call of Send it takes the next change. If apart is set it sends
// the datagrams of a train one by one, as after an EIO.
type narrowingConn struct {
	*encaptest.Conn
	changes []pathChange
	apart   bool
}

// pathChange is a new path MTU, outer headers included, to one address.
type pathChange struct {
	to  netip.Addr
	mtu int
}

func (c *narrowingConn) Send(msgs []encap.Message) (int, error) {
	if len(c.changes) > 0 {
		c.SetPathMTU(c.changes[0].to, c.changes[0].mtu)
		c.changes = c.changes[1:]
	}
	if !c.apart {
		return c.Conn.Send(msgs)
	}
	for i := range msgs {
		c.sendApart(&msgs[i])
	}
	return len(msgs), nil
}

// sendApart sends each datagram of a message by itself. Err is the first
// failure, Lost how many of a train failed, and Missing which.
func (c *narrowingConn) sendApart(m *encap.Message) {
	payload := slices.Concat(m.Buffers...)
	m.Err, m.Lost, m.Missing = nil, 0, 0
	size := len(payload)
	if m.SegmentSize > 0 {
		size = m.SegmentSize
	}
	j := 0
	for datagram := range slices.Chunk(payload, size) {
		one := []encap.Message{{Addr: m.Addr, Buffers: [][]byte{datagram}}}
		c.Conn.Send(one)
		if one[0].Err != nil && m.Err == nil {
			m.Err = one[0].Err
		}
		if one[0].Err != nil && m.SegmentSize > 0 {
			m.Lost++
			m.Missing |= 1 << j
		}
		j++
	}
}

// resendPeers are where the test's packets go: overlay and underlay address.
var resendPeers = []struct {
	inner string
	outer netip.Addr
}{
	{"10.244.2.5", netip.MustParseAddr("192.0.2.2")},
	{"10.244.3.5", netip.MustParseAddr("192.0.2.3")},
	{"10.244.6.5", netip.MustParseAddr("192.0.2.6")},
}

// sentPacket is a packet that was given to egress: the expected arrivals, and
// where.
type sentPacket struct {
	whole packet.Packet
	to    netip.Addr
}

// drawn is n bytes that no other packet of the test has.
func drawn(n int, seed uint16) []byte {
	b := packettest.Pattern(n)
	for i := range b {
		b[i] ^= byte(seed>>(i&1*8)) * 31
	}
	return b
}

// drawBatch feeds packets and superpackets for several peers. It notes under
// their IDs, from id on, which parts are to arrive.
func drawBatch(t *rapid.T, q *tuntest.Queue, sent map[uint16]sentPacket, id uint16) uint16 {
	for range rapid.IntRange(1, 6).Draw(t, "packets") {
		peer := rapid.SampledFrom(resendPeers).Draw(t, "peer")
		flags := rapid.SampledFrom([]uint16{0, 0, 0, packet.FlagDF}).Draw(t, "flags")
		s := tcpSpec(peer.inner, flags, drawn(rapid.IntRange(0, 6000).Draw(t, "payload"), id))
		s.ID = id
		if rapid.Bool().Draw(t, "options") {
			s.Options = packettest.Options(t)
		}
		p := s.Build()
		segments := [][]byte{packettest.Forwarded(p)}
		if size := rapid.IntRange(0, 2000).Draw(t, "segment size"); size > 200 {
			segments = resendSegments(p, size)
			q.FeedSuperpacket(p, size)
		} else {
			q.Feed(p)
		}
		for _, segment := range segments {
			sent[id] = sentPacket{segment, peer.outer}
			id++
		}
	}
	return id
}

// resendSegments are a superpacket's segments one hop on.
func resendSegments(p packet.Packet, size int) (all [][]byte) {
	s, _ := tun.NewSegmenter(tun.Packet{Data: packettest.Forwarded(p), SegmentSize: size})
	for {
		header, payload, ok := s.Next(make([]byte, 120))
		if !ok {
			return all
		}
		all = append(all, slices.Concat(header, payload))
	}
}

// piece checks that a datagram is a part of the packet that its ID says, on its
// way to that packet's peer. It returns how many bytes of payload it brings.
func (s sentPacket) piece(t *rapid.T, d encaptest.Datagram) int {
	p, err := packet.Parse(d.Payload)
	if err != nil || d.Addr.Addr() != s.to {
		t.Fatalf("to %s, not %s: %v", d.Addr, s.to, err)
	}
	whole, at := s.whole.Payload(), int(p.Flags()&packet.OffsetMask)*8
	if end := at + len(p.Payload()); end > len(whole) || !bytes.Equal(p.Payload(), whole[at:end]) {
		t.Fatalf("bytes from %d on of packet %d are another's", at, binary.BigEndian.Uint16(p[4:]))
	}
	if p.Flags()&(packet.FlagMF|packet.OffsetMask) == 0 && !bytes.Equal(p, s.whole) {
		t.Fatalf("packet %d arrived as %x", binary.BigEndian.Uint16(p[4:]), []byte(p[:packet.HeaderLen]))
	}
	return len(p.Payload())
}

// Several paths become narrower within a batch, once or more often.
// Each datagram holds a part of the packet that its header belongs to, and goes
// to the peer of that packet, also when it was cut or sent again. What is
// missing is counted.
func TestWhatIsSentAgainIsWhatWasSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, c := tuntest.NewQueue(), &narrowingConn{Conn: encaptest.NewConn()}
		c.SetMaxSegments(rapid.SampledFrom([]int{1, maxTrain}).Draw(t, "train"))
		c.apart = rapid.Bool().Draw(t, "apart")
		lane := fakeLane(q, c.Conn)
		lane.Conn = c
		cfg := Config{Lanes: []Lane{lane}, Table: new(Table), Lease: testLease, MTU: 9000, Logger: discard}
		if err := cfg.Table.store(append(testEntries(), via("10.244.6.0/24", testPeer("f", "192.0.2.6:8285")))); err != nil {
			t.Fatal(err)
		}
		e := newEgress(lane, &cfg, newICMPLimiter(), newMeter())
		sent, id := map[uint16]sentPacket{}, uint16(1)
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			c.changes = nil
			for range rapid.IntRange(0, 5).Draw(t, "changes") {
				c.changes = append(c.changes, pathChange{
					to:  rapid.SampledFrom(resendPeers).Draw(t, "path").outer,
					mtu: rapid.IntRange(packet.MinMTU+28, 2100).Draw(t, "path MTU"),
				})
			}
			id = drawBatch(t, q, sent, id)
			if _, err := e.step(); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		arrived := map[uint16]int{}
		for _, d := range c.Sent(1 << 20) {
			id := binary.BigEndian.Uint16(d.Payload[4:])
			arrived[id] += sent[id].piece(t, d)
		}
		missing := 0
		for id, s := range sent {
			switch n := len(s.whole.Payload()); {
			case arrived[id] > n:
				t.Fatalf("%d of %d bytes of packet %d arrived", arrived[id], n, id)
			case arrived[id] < n:
				missing++
			}
		}
		var dropped uint64
		for i := range e.counters.drops {
			dropped += e.counters.drops[i].Load()
		}
		if uint64(missing) > dropped {
			t.Fatalf("%d packets are missing, %d drops counted", missing, dropped)
		}
	})
}
