// SPDX-License-Identifier: Apache-2.0

package route

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"flanneld/encap"
	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
	"flanneld/internal/seal"
	"flanneld/tun"
	"flanneld/tun/tuntest"
)

// sealedEnd is one end of a sealed network of two nodes: a with 10.244.1.0/24
// and b with 10.244.2.0/24.
type sealedEnd struct {
	*egress
	*ingress
	queue *tuntest.Queue
	conn  *encaptest.Conn
	node  *seal.Node
	other *Peer
	at    netip.AddrPort
	asked [][]byte     // messages of handshakes that the lane gave away
	seen  []netip.Addr // where the other end was sighted
}

// newSealedEnd makes an end without a session.
func newSealedEnd(tb testing.TB, number byte, secret seal.PrivateKey, public [32]byte, suite seal.Suite) *sealedEnd {
	tb.Helper()
	node, err := seal.New(seal.Config{
		Self: seal.NodeID{number}, Network: seal.NetworkID{7}, Private: secret, Cluster: bytes.Repeat([]byte{9}, 32), Start: 1, Instance: 1, Lanes: 2,
		Suites: []seal.Suite{suite},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(node.Close)
	end := &sealedEnd{queue: tuntest.NewQueue(), conn: encaptest.NewConn(), node: node, at: sealedAddress(number)}
	lease := func(n byte) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, n, 0}), 24)
	}
	end.other = NewPeer(fmt.Sprint("node ", 3-number), sealedAddress(3-number), 0)
	end.other.Seal(node.SetPeer(time.Now(), seal.PeerInfo{ID: seal.NodeID{3 - number}, Key: public, Instance: 1}))
	third := NewPeer("node 3", sealedAddress(3), 0) // without a key
	table := new(Table)
	if err := table.store([]Entry{
		{Prefix: lease(number), Kind: Local}, {Prefix: lease(3 - number), Kind: Via, Peer: end.other}, {Prefix: lease(3), Kind: Via, Peer: third},
	}); err != nil {
		tb.Fatal(err)
	}
	cfg := Config{
		Lanes: []Lane{fakeLane(end.queue, end.conn)}, Table: table, Lease: lease(number), MTU: 1440, Logger: discard,
		Sealing: &Sealing{Node: node, Handshake: func(_ netip.AddrPort, b []byte) bool {
			end.asked = append(end.asked, bytes.Clone(b))
			return len(end.asked) < 100
		}, Sighted: func(p *Peer, from netip.Addr) {
			if p == end.other {
				end.seen = append(end.seen, from)
			}
		}},
	}
	end.egress, end.ingress = newEgress(cfg.Lanes[0], &cfg, newICMPLimiter(), newMeter()), newIngress(cfg.Lanes[0], &cfg, newICMPLimiter(), newMeter())
	return end
}

func sealedAddress(number byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, number}), 8285)
}

// sealedPair makes both ends.
func sealedPair(tb testing.TB, suite seal.Suite) (a, b *sealedEnd) {
	tb.Helper()
	secretA, secretB := seal.PrivateKey{1, 2}, seal.PrivateKey{3, 4}
	return newSealedEnd(tb, 1, secretA, secretB.Public(), suite), newSealedEnd(tb, 2, secretB, secretA.Public(), suite)
}

// shake carries handshakes between two ends until neither has any to send.
func shake(tb testing.TB, a, b *sealedEnd) {
	tb.Helper()
	type flight struct {
		to       *sealedEnd
		from     netip.AddrPort
		datagram []byte
	}
	var flights []flight
	emit := func(from, to *sealedEnd) seal.Emit {
		return func(_ *seal.Peer, b []byte) { flights = append(flights, flight{to, from.at, bytes.Clone(b)}) }
	}
	for range 20 {
		now := time.Now()
		a.node.Tick(now, emit(a, b))
		b.node.Tick(now, emit(b, a))
		if len(flights) == 0 {
			return
		}
		f := flights[0]
		flights = flights[1:]
		if seal.IsData(f.datagram) {
			f.to.conn.Deliver(encaptest.Datagram{Addr: f.from, Payload: f.datagram})
			if _, err := f.to.ingress.step(); err != nil {
				tb.Fatal(err)
			}
			continue
		}
		back := a
		if f.to == a {
			back = b
		}
		f.to.node.Handle(now, f.from.Addr(), f.datagram, emit(f.to, back))
	}
}

// joined is a pair with a session that both ends may send with.
func joined(tb testing.TB, suite seal.Suite) (a, b *sealedEnd) {
	tb.Helper()
	a, b = sealedPair(tb, suite)
	a.other.Sealed().Hold(packettest.Spec{}.Build())
	shake(tb, a, b)
	if b.other.Sealed().Sending(0, time.Now()) == nil || a.other.Sealed().Sending(0, time.Now()) == nil {
		tb.Fatal("no session")
	}
	b.queue.Written(1) // what began the handshake
	return a, b
}

// read lets an end send what its queue has.
func (s *sealedEnd) read(tb testing.TB) {
	tb.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = s.egress.step(); err != nil {
			tb.Fatal(err)
		}
	}
}

// take lets an end receive datagrams of an address, and returns the reasons
// that it dropped some for.
func (s *sealedEnd) take(tb testing.TB, from netip.AddrPort, payloads ...[]byte) map[Reason]uint64 {
	tb.Helper()
	before := newDirection(ingressReasons)
	s.ingress.counters.addTo(&before)
	for _, p := range payloads {
		s.conn.Deliver(encaptest.Datagram{Addr: from, Payload: p})
		if _, err := s.ingress.step(); err != nil {
			tb.Fatal(err)
		}
	}
	after := newDirection(ingressReasons)
	s.ingress.counters.addTo(&after)
	for i := range after.Drops {
		after.Drops[i].Packets -= before.Drops[i].Packets
	}
	return after.drops()
}

var suites = []seal.Suite{seal.AESGCM, seal.ChaChaPoly}

// marker is what no datagram may show.
var marker = []byte("a marked packet of a container ")

func TestSealedPacketsArriveUnchangedAndShowNothing(t *testing.T) {
	for _, suite := range suites {
		for _, segments := range []int{1, 64} { // of a train
			a, b := joined(t, suite)
			a.conn.SetMaxSegments(segments)
			super := tcpSpec("10.244.2.5", packet.FlagDF, bytes.Repeat(marker, 62000/len(marker))).Build()
			single := packettest.Spec{Dst: "10.244.2.5", Payload: bytes.Repeat(marker, 30)}.Build()
			want := append(segmentsOf(t, super, 1388), packettest.Forwarded(single))
			a.queue.FeedSuperpacket(super, 1388)
			a.queue.Feed(single)
			a.read(t)
			sent := sentPayloads(a.conn.Sent(len(want)))
			for i, datagram := range sent {
				if len(datagram) != len(want[i])+seal.Overhead {
					t.Fatalf("%v: datagram %d has %d bytes for a packet of %d", suite, i, len(datagram), len(want[i]))
				}
				for at := 0; at+8 <= len(marker); at++ {
					if bytes.Contains(datagram, marker[at:at+8]) {
						t.Fatalf("%v: datagram %d shows %q", suite, i, marker[at:at+8])
					}
				}
			}
			if drops := b.take(t, a.at, sent...); len(drops) > 0 {
				t.Fatalf("%v: dropped %v", suite, drops)
			}
			for i, got := range b.queue.Written(len(want)) {
				if !bytes.Equal(got, want[i]) {
					t.Fatalf("%v: packet %d is another one", suite, i)
				}
			}
		}
	}
}

func TestSealedTrainsFillNoDatagramTooMuch(t *testing.T) {
	a, b := joined(t, seal.AESGCM)
	trains := 0
	a.conn = encaptest.NewConnFunc(func(m *encap.Message) error {
		bytes := 0
		for _, piece := range m.Buffers {
			bytes += len(piece)
		}
		if bytes > encap.MaxPayload || m.Datagrams(bytes) > maxTrain {
			t.Errorf("a train of %d bytes, %d datagrams", bytes, m.Datagrams(bytes))
		}
		if m.SegmentSize > 0 {
			trains++
		}
		if len(m.Buffers) > 1 {
			t.Errorf("%d pieces of one train", len(m.Buffers))
		}
		b.conn.Deliver(encaptest.Datagram{Addr: a.at, Payload: slices.Concat(m.Buffers...), SegmentSize: m.SegmentSize})
		return nil
	})
	a.conn.SetMaxSegments(maxTrain)
	a.egress.conn = a.conn
	for range 3 {
		a.queue.FeedSuperpacket(tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(62000)).Build(), 1400-40)
	}
	a.read(t)
	for range 4 {
		if _, err := b.ingress.step(); err != nil {
			t.Fatal(err)
		}
	}
	total := newDirection(ingressReasons)
	b.ingress.counters.addTo(&total)
	if want := uint64(3*46 + 1); total.Packets != want || len(total.drops()) > 0 || trains == 0 { // 1: what began the handshake
		t.Errorf("%d packets of %d, drops %v, %d trains", total.Packets, want, total.drops(), trains)
	}
}

func TestHostileDatagramsAreDroppedByReasonInASealedNetwork(t *testing.T) {
	a, b := joined(t, seal.AESGCM)
	for range 3 {
		a.queue.Feed(packettest.Spec{Dst: "10.244.2.5", Payload: packettest.Pattern(200)}.Build())
	}
	a.queue.Feed(packettest.Spec{Dst: "10.244.2.5", Payload: packettest.Pattern(100)}.Build())
	a.read(t)
	sent := sentPayloads(a.conn.Sent(4))
	flipped := bytes.Clone(sent[1])
	flipped[40] ^= 1
	spliced := slices.Concat(sent[1][:100], sent[2][100:])
	renumbered := bytes.Clone(sent[1])
	renumbered[15] += 100
	otherStream := bytes.Clone(sent[1])
	otherStream[1] ^= 1
	good := packettest.Spec{Src: "10.244.1.5", Dst: "10.244.2.5"}.Build()
	for _, c := range []struct {
		name     string
		datagram []byte
		from     netip.AddrPort
		want     Reason
	}{
		{"a good one", sent[0], a.at, Forwarded},
		{"replayed", sent[0], a.at, Replayed},
		{"replayed from another address", sent[0], sealedAddress(77), Replayed},
		{"flipped", flipped, a.at, Forged},
		{"cut", sent[1][:len(sent[1])-1], a.at, Forged},
		{"cut to the header", sent[1][:16], a.at, NotSealed},
		{"spliced", spliced, a.at, Forged},
		{"with another counter", renumbered, a.at, Forged},
		{"in another stream", otherStream, a.at, Forged},
		{"a plain packet of a peer", good, a.at, NotSealed},
		{"an empty one", nil, a.at, NotSealed},
		{"late, from another address", sent[3], sealedAddress(77), Forwarded},
		{"overtaken", sent[1], a.at, Forwarded},
	} {
		drops := b.take(t, c.from, c.datagram)
		if c.want == Forwarded && len(drops) > 0 || c.want != Forwarded && (len(drops) != 1 || drops[c.want] != 1) {
			t.Errorf("%s: dropped %v, want %v", c.name, drops, c.want)
		}
	}
	if drops := a.take(t, b.at, sent[2]); drops[UnknownSession]+drops[Forged] != 1 {
		t.Errorf("reflected: dropped %v", drops)
	}
	if got := len(b.queue.Written(3)); got != 3 {
		t.Errorf("%d packets came in", got)
	}
}

func TestSealedPeerCannotSendInAnothersName(t *testing.T) {
	a, b := joined(t, seal.AESGCM)
	forged := packettest.Spec{Src: "10.244.3.5", Dst: "10.244.2.5"}.Build()
	stream := a.other.Sealed().Sending(1, time.Now())
	datagram := slices.Concat(make([]byte, seal.HeaderLen), forged, make([]byte, seal.TagLen))
	if !stream.Seal(datagram) {
		t.Fatal("not sealed")
	}
	if drops := b.take(t, a.at, datagram); drops[ForeignSource] != 1 {
		t.Errorf("dropped %v", drops)
	}
}

func TestPacketsWaitForASessionAndNeverGoPlain(t *testing.T) {
	a, b := sealedPair(t, seal.AESGCM)
	var want [][]byte
	for i := range 5 {
		p := packettest.Spec{Dst: "10.244.2.5", Payload: packettest.Pattern(100 + i)}.Build()
		want = append(want, packettest.Forwarded(p))
		a.queue.Feed(p)
	}
	a.queue.Feed(packettest.Spec{Dst: "10.244.3.5"}.Build()) // to a node without a key
	a.read(t)
	if n := a.conn.Messages(); n != 0 {
		t.Fatalf("%d messages were sent without a session", n)
	}
	total := newDirection(egressReasons)
	a.egress.counters.addTo(&total)
	if drops := total.drops(); len(drops) != 1 || drops[NoSession] != 1 {
		t.Errorf("dropped %v, want the one packet to a node without a key", drops)
	}
	shake(t, a, b)
	for i, got := range b.queue.Written(len(want)) {
		if !bytes.Equal(got, want[i]) {
			t.Errorf("packet %d is another one", i)
		}
	}
}

func TestHandshakesGoToTheSlowPathAndAreBounded(t *testing.T) {
	a, b := sealedPair(t, seal.AESGCM)
	a.other.Sealed().Hold(packettest.Spec{}.Build())
	var message []byte
	a.node.Tick(time.Now(), func(_ *seal.Peer, datagram []byte) { message = bytes.Clone(datagram) })
	if drops := b.take(t, a.at, message); len(drops) > 0 || len(b.asked) != 1 || !bytes.Equal(b.asked[0], message) {
		t.Fatalf("dropped %v, %d messages reached the slow path", drops, len(b.asked))
	}
	var flood [][]byte
	for range 200 {
		flood = append(flood, message)
	}
	if drops := b.take(t, sealedAddress(9), flood...); drops[HandshakeOverflow] != 201-99 {
		t.Errorf("dropped %v", drops)
	}
}

func TestSealedPacketTooLongForItsPathIsCutAndSealedAnew(t *testing.T) {
	a, b := joined(t, seal.AESGCM)
	a.conn.SetPathMTU(b.at.Addr(), 1300)
	p := packettest.Spec{Dst: "10.244.2.5", Payload: packettest.Pattern(1400)}.Build()
	a.queue.Feed(p)
	a.read(t)
	sent := sentPayloads(a.conn.Sent(2))
	if len(sent) != 2 {
		t.Fatalf("%d datagrams", len(sent))
	}
	for _, datagram := range sent {
		if len(datagram) > 1300-encap.Overhead(b.at.Addr()) {
			t.Errorf("a datagram of %d bytes", len(datagram))
		}
	}
	if drops := b.take(t, a.at, sent...); len(drops) > 0 {
		t.Errorf("dropped %v", drops)
	}
	if limit := a.other.Limit(); limit != 1300-60 {
		t.Errorf("packets of %d bytes, want %d", limit, 1300-60)
	}
}

func TestSealingAllocatesNothing(t *testing.T) {
	for _, suite := range suites {
		a, b := joined(t, suite)
		var trains []encaptest.Datagram
		for range 2 {
			trains = append(trains, encaptest.Datagram{Addr: a.at, Payload: make([]byte, 0, encap.MaxPayload)})
		}
		n := 0
		a.conn = encaptest.NewConnFunc(func(m *encap.Message) error {
			if n < len(trains) {
				trains[n].Payload = trains[n].Payload[:0]
				for _, piece := range m.Buffers {
					trains[n].Payload = append(trains[n].Payload, piece...)
				}
				trains[n].SegmentSize = m.SegmentSize
			}
			n++
			return nil
		})
		a.conn.SetMaxSegments(maxTrain)
		a.egress.conn = a.conn
		b.queue = tuntest.NewQueueFunc(func([]byte) error { return nil })
		b.queue.SetOffloads(tun.Offloads{Checksum: true, TCP: true, UDP: true})
		b.ingress.queue = b.queue
		super := tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(40*1360)).Build()
		step := func() {
			n = 0
			for range 2 {
				a.queue.FeedSuperpacket(super, 1360)
			}
			if _, err := a.egress.step(); err != nil {
				t.Fatal(err)
			}
			b.conn.Deliver(trains[:min(n, len(trains))]...)
			if _, err := b.ingress.step(); err != nil {
				t.Fatal(err)
			}
		}
		step()
		if allocs := testing.AllocsPerRun(100, step); allocs != 0 {
			t.Errorf("%v: %v allocations a batch, want none", suite, allocs)
		}
		if got := b.ingress.counters.traffic.packets.Load(); got < 40*100 {
			t.Errorf("%v: only %d packets arrived", suite, got)
		}
	}
}

// BenchmarkSealedEgress is the cost of a packet in a train, without the
// kernel's share.
func BenchmarkSealedEgress(b *testing.B) {
	for _, suite := range suites {
		for _, size := range []int{64, 1400} {
			b.Run(fmt.Sprintf("%v/%d", suite, size), func(b *testing.B) {
				a, _ := joined(b, suite)
				a.conn = encaptest.NewConnFunc(func(*encap.Message) error { return nil })
				a.conn.SetMaxSegments(maxTrain)
				a.egress.conn = a.conn
				p := packettest.Spec{Dst: "10.244.2.5", Payload: packettest.Pattern(size - 28)}.Build()
				batch := make([][]byte, batchSize)
				for i := range batch {
					batch[i] = p
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for n := 0; n < b.N; n += batchSize {
					a.queue.Feed(batch...)
					if _, err := a.egress.step(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
