// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"flanneld/encap"
	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
	"flanneld/tun"
	"flanneld/tun/tuntest"
)

var addrB = netip.MustParseAddr("192.0.2.2")

// payloads are the overlay packets of datagrams.
func payloads(datagrams []encaptest.Datagram) (packets []packet.Packet) {
	for _, d := range datagrams {
		packets = append(packets, d.Payload)
	}
	return packets
}

// The packet that detects a narrow path is not lost: it is fragmented, and so
// is the next, now without a question to the kernel.
func TestPacketThatIsTooLongIsCut(t *testing.T) {
	n := start(t)
	n.conn.SetPathMTU(addrB, 1000)
	p := packettest.Spec{ID: 7, Payload: packettest.Pattern(1400)}.Build()
	for range 2 {
		n.queue.Feed(p)
		pieces := payloads(n.conn.Sent(2))
		for _, piece := range pieces {
			if len(piece) > 972 {
				t.Errorf("a fragment of %d bytes", len(piece))
			}
		}
		whole, err := packettest.Reassemble(pieces)
		if err != nil {
			t.Fatal(err)
		}
		if want := packettest.Forwarded(p); string(whole) != string(want) {
			t.Errorf("got %x, want %x", []byte(whole), want)
		}
	}
	if hop, _ := n.table.Lookup(netip.MustParseAddr("10.244.2.1")); hop.Peer.PathMTU() != 972 {
		t.Errorf("path MTU %d, want 972", hop.Peer.PathMTU())
	}
	if stats := n.finish(t); len(stats.Egress.drops()) > 0 || stats.Egress.Packets != 4 {
		t.Errorf("%d packets sent, drops %v; want 4 and none", stats.Egress.Packets, stats.Egress.drops())
	}
}

func TestPacketThatMustNotBeCutIsAnswered(t *testing.T) {
	n := start(t)
	n.conn.SetPathMTU(addrB, 1000)
	p := packettest.Spec{Flags: packet.FlagDF, Payload: packettest.Pattern(1400)}.Build()
	// The first packet detects it; its TTL has been decremented by then.
	for i, about := range [][]byte{packettest.Forwarded(p), p} {
		n.queue.Feed(p)
		answer, err := packet.Parse(n.queue.Written(1)[0])
		if err != nil {
			t.Fatalf("the answer: %v", err)
		}
		icmp := answer.Payload()
		if icmp[0] != 3 || icmp[1] != 4 || binary.BigEndian.Uint16(icmp[6:]) != 972 {
			t.Errorf("answer %d is %x; want type 3, code 4, MTU 972", i, icmp[:packet.ICMPHeaderLen])
		}
		if quoted := icmp[packet.ICMPHeaderLen:]; string(quoted) != string(about[:len(quoted)]) {
			t.Errorf("answer %d quotes %x", i, quoted)
		}
	}
	stats := n.finish(t)
	if drops := stats.Egress.drops(); len(drops) != 1 || drops[NeedsFragmentation] != 2 || stats.Answers.Sent != 2 {
		t.Errorf("drops %v, %d answers; want 2 for %s", drops, stats.Answers.Sent, NeedsFragmentation)
	}
}

// A peer with a smaller device would drop packets that are too large for it.
func TestPeersDeviceMTUCounts(t *testing.T) {
	n := start(t)
	small := NewPeer("small", netip.MustParseAddrPort("192.0.2.9:8285"), 600)
	if err := n.table.store([]Entry{via("10.244.2.0/24", small)}); err != nil {
		t.Fatal(err)
	}
	n.queue.Feed(packettest.Spec{Payload: packettest.Pattern(1000)}.Build())
	for _, piece := range payloads(n.conn.Sent(2)) {
		if len(piece) > 600 {
			t.Errorf("a fragment of %d bytes, the peer takes 600", len(piece))
		}
	}
	n.finish(t)
}

// A batch of long packets on a very narrow path becomes more fragments than fit
// one outbox, whether the path MTU is known or detected.
func TestMoreFragmentsThanABatch(t *testing.T) {
	n := start(t, func(c *Config) { c.MTU = 9000 })
	n.conn.SetPathMTU(addrB, packet.MinMTU+28)
	var batch [][]byte
	for id := range batchSize {
		batch = append(batch, packettest.Spec{ID: uint16(id), Payload: packettest.Pattern(8000)}.Build())
	}
	const pieces = 8000/48 + 1 // 68 - 20 bytes each
	for range 2 {
		n.queue.Feed(batch...)
		byID := make(map[uint16][]packet.Packet)
		for _, piece := range payloads(n.conn.Sent(pieces * batchSize)) {
			id := binary.BigEndian.Uint16(piece[4:])
			byID[id] = append(byID[id], piece)
		}
		for id, p := range batch {
			whole, err := packettest.Reassemble(byID[uint16(id)])
			if err != nil || string(whole) != string(packettest.Forwarded(p)) {
				t.Fatalf("packet %d: %v", id, err)
			}
		}
	}
	if stats := n.finish(t); len(stats.Egress.drops()) > 0 {
		t.Errorf("drops %v", stats.Egress.drops())
	}
}

// With any paths, lengths and flags, each packet arrives whole, or its sender
// gets an answer, or the drop is counted.
func TestNoPacketIsLostUnseen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, c := tuntest.NewQueue(), encaptest.NewConn()
		cfg := Config{Lanes: []Lane{fakeLane(q, c)}, Table: new(Table), Lease: testLease, MTU: 2000, Logger: discard}
		if err := cfg.Table.store(testEntries()); err != nil {
			t.Fatal(err)
		}
		e := newEgress(cfg.Lanes[0], &cfg, newICMPLimiter(), newMeter())
		fed, want := 0, map[string]int{} // packets that may be cut, by what arrives
		for range rapid.IntRange(1, 5).Draw(t, "batches") {
			c.SetPathMTU(addrB, rapid.IntRange(60, 2100).Draw(t, "path MTU"))
			var batch [][]byte
			for range rapid.IntRange(1, 10).Draw(t, "packets") {
				p := packettest.Spec{ID: uint16(fed), Payload: packettest.Pattern(rapid.IntRange(0, 1900).Draw(t, "payload"))}
				if rapid.Bool().Draw(t, "DF") {
					p.Flags = packet.FlagDF
				}
				batch = append(batch, p.Build())
				fed++
			}
			q.Feed(batch...)
			if _, err := e.step(); err != nil {
				t.Fatal(err)
			}
			for _, p := range batch {
				want[string(packettest.Forwarded(p))]++
			}
		}
		q.Close()
		c.Close()
		byID := map[uint16][]packet.Packet{}
		for _, piece := range payloads(c.Sent(1 << 20)) {
			id := binary.BigEndian.Uint16(piece[4:])
			byID[id] = append(byID[id], slices.Clone(piece))
		}
		arrived := 0
		for id, pieces := range byID {
			whole, err := packettest.Reassemble(pieces)
			if err != nil {
				continue // a piece was dropped, and must be counted
			}
			if want[string(whole)] == 0 {
				t.Fatalf("packet %d arrived as %x", id, []byte(whole))
			}
			arrived++
		}
		d := newDirection(egressReasons)
		e.counters.addTo(&d)
		var dropped uint64
		for _, n := range d.drops() {
			dropped += n
		}
		// On paths too narrow for any host, packets fail that were not too
		// large.
		tooLarge, failed := d.drops()[NeedsFragmentation], d.drops()[SendFailed]
		if answered := e.counters.answered.Load(); answered < tooLarge || answered > tooLarge+failed {
			t.Errorf("%d dropped as too large, %d failed, %d answered", tooLarge, failed, answered)
		}
		if uint64(fed-arrived) > dropped {
			t.Errorf("%d of %d packets arrived, but only %d drops are counted", arrived, fed, dropped)
		}
	})
}

func TestAnswersBeyondTheLimitAreCounted(t *testing.T) {
	n := start(t)
	const packets = answerBurst + 50
	for range packets {
		n.queue.Feed(packettest.Spec{Dst: "10.244.99.1"}.Build())
	}
	stats := n.finish(t)
	if drops := stats.Egress.drops(); drops[NoRoute] != packets {
		t.Errorf("drops %v, want %d", drops, packets)
	}
	if a := stats.Answers; a.Sent+a.Suppressed != packets || a.Sent < answerBurst {
		t.Errorf("answers %+v of %d packets", a, packets)
	}
}

func TestWhatTheKernelRefusesIsCounted(t *testing.T) {
	errRefused := errors.New("refused")
	for err, want := range map[error]Reason{errRefused: SendFailed, encap.ErrBufferFull: SendBufferFull, encap.ErrTooLong: SendFailed} {
		// The path MTU does not explain that it is too long.
		c := encaptest.NewConnFunc(func(*encap.Message) error { return err })
		n := start(t, func(cfg *Config) { cfg.Lanes[0].Conn = c })
		n.queue.Feed(packettest.Spec{}.Build())
		stats := n.finish(t)
		if !stats.Egress.only(want) || stats.Egress.Packets != 0 {
			t.Errorf("%v: drops %v, want %s", err, stats.Egress.drops(), want)
		}
		if answered := stats.Answers.Sent == 1; answered != (want == SendFailed) {
			t.Errorf("%v: answered %v", err, answered)
		}
	}
	for err, want := range map[error]Reason{errRefused: WriteFailed, tun.ErrDeviceDown: DeviceDown} {
		q := tuntest.NewQueueFunc(func([]byte) error { return err })
		n := start(t, func(cfg *Config) { cfg.Lanes[0].Queue = q })
		n.conn.Deliver(encaptest.Datagram{Addr: netip.AddrPortFrom(addrB, 1), Payload: packettest.Spec{Src: "10.244.2.1", Dst: "10.244.1.1"}.Build()})
		n.conn.Fail(errDone)
		<-n.ended
		if stats := n.Stats(); !stats.Ingress.only(want) || stats.Ingress.Packets != 0 {
			t.Errorf("%v: drops %v, want %s", err, stats.Ingress.drops(), want)
		}
	}
}

func TestDeletedDeviceEndsIngress(t *testing.T) {
	q := tuntest.NewQueueFunc(func([]byte) error { return tun.ErrDeviceGone })
	n := start(t, func(cfg *Config) { cfg.Lanes[0].Queue = q })
	n.conn.Deliver(encaptest.Datagram{Addr: netip.AddrPortFrom(addrB, 1), Payload: packettest.Spec{Src: "10.244.2.1", Dst: "10.244.1.1"}.Build()})
	if err := <-n.ended; !errors.Is(err, tun.ErrDeviceGone) {
		t.Errorf("Run: %v, want %v", err, tun.ErrDeviceGone)
	}
}

// Packets that the kernel dropped before flanneld could see them are counted,
// too, and does not vanish with the socket.
func TestOverflowsOfTheSocketAreDrops(t *testing.T) {
	n := start(t)
	n.conn.SetOverflows(5)
	if got := n.Stats().Ingress.drops()[ReceiveOverflow]; got != 5 {
		t.Errorf("%d overflows, want 5", got)
	}
	n.conn.SetOverflows(8)
	if stats := n.finish(t); !(len(stats.Ingress.drops()) == 1 && stats.Ingress.drops()[ReceiveOverflow] == 8) {
		t.Errorf("drops %v after the end, want 8 overflows", stats.Ingress.drops())
	}
}

// askedConn counts how often it was asked for overflows.
type askedConn struct {
	*encaptest.Conn
	asked atomic.Int64
}

func (c *askedConn) Overflows() uint64 {
	c.asked.Add(1)
	return c.Conn.Overflows()
}

// A kernel counter that wraps must be read, also while no program asks for the
// result.
func TestOverflowsAreReadUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &askedConn{Conn: encaptest.NewConn()}
		lane := fakeLane(tuntest.NewQueue(), c.Conn)
		lane.Conn = c
		f, err := NewForwarder(testConfig(t, lane))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(time.Minute)
		if n := c.asked.Load(); n < 5 || n > 60 {
			t.Errorf("asked %d times in a minute", n)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
