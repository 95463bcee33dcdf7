// SPDX-License-Identifier: Apache-2.0

package route

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
	"flanneld/tun"
	"flanneld/tun/tuntest"
)

// Node a of these tests holds 10.244.1.0/24. The others:
//
//	b  10.244.2.0/24  192.0.2.2:8285
//	c  10.244.3.0/24  192.0.2.3:9000
//	d  10.244.4.0/24  192.0.2.4:8285  dead
//	e  10.244.5.0/24  192.0.2.2:8286  shares b's address
func testEntries() []Entry {
	return []Entry{
		{Prefix: testLease, Kind: Local},
		via("10.244.2.0/24", testPeer("b", "192.0.2.2:8285")),
		via("10.244.3.0/24", testPeer("c", "192.0.2.3:9000")),
		{Prefix: netip.MustParsePrefix("10.244.4.0/24"), Kind: Unreachable, Peer: testPeer("d", "192.0.2.4:8285")},
		via("10.244.5.0/24", testPeer("e", "192.0.2.2:8286")),
	}
}

func testConfig(tb testing.TB, lanes ...Lane) Config {
	tb.Helper()
	table := new(Table)
	if err := table.store(testEntries()); err != nil {
		tb.Fatal(err)
	}
	return Config{Lanes: lanes, Table: table, Lease: testLease, MTU: 1472, Logger: discard}
}

// wakeup is a Waiter for fakes.
type wakeup chan struct{}

func (w wakeup) Wait(int, time.Duration) error {
	<-w
	return nil
}

// Sleep is over at once: there is nothing to gather.
func (w wakeup) Rest(time.Duration, int) error { return w.Wait(0, 0) }
func (w wakeup) Sleep(time.Duration)           {}

func (w wakeup) wake() {
	select {
	case w <- struct{}{}:
	default: // Wait will return at once
	}
}

func fakeLane(q *tuntest.Queue, c *encaptest.Conn) Lane {
	w := make(wakeup, 1)
	q.Notify(w.wake)
	c.Notify(w.wake)
	return Lane{Queue: q, Conn: c, Waiter: w}
}

// node is a running forwarder on fakes.
type node struct {
	*Forwarder
	table *Table
	queue *tuntest.Queue
	conn  *encaptest.Conn
	stop  context.CancelFunc
	ended chan error
}

func start(t *testing.T, change ...func(*Config)) *node {
	t.Helper()
	n := &node{queue: tuntest.NewQueue(), conn: encaptest.NewConn(), ended: make(chan error, 1)}
	cfg := testConfig(t, fakeLane(n.queue, n.conn))
	for _, c := range change {
		c(&cfg)
	}
	n.table = cfg.Table
	var err error
	if n.Forwarder, err = NewForwarder(cfg); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, n.stop = context.WithCancel(t.Context())
	go func() { n.ended <- n.Run(ctx) }()
	t.Cleanup(n.stop)
	return n
}

// finish stops the node after its loops have done all they were given, and
// returns its counters.
func (n *node) finish(t *testing.T) Counters {
	t.Helper()
	n.queue.Fail(errDone)
	if err := <-n.ended; !errors.Is(err, errDone) {
		t.Errorf("Run: %v", err)
	}
	return n.Stats()
}

var errDone = errors.New("the test is over")

var discard = slog.New(slog.DiscardHandler)

// drops are the reasons that occurred in one direction.
func (d Direction) drops() map[Reason]uint64 {
	m := map[Reason]uint64{}
	for _, drop := range d.Drops {
		if drop.Packets > 0 {
			m[drop.Reason] = drop.Packets
		}
	}
	return m
}

// only reports whether r occurred once and nothing else did.
func (d Direction) only(r Reason) bool {
	drops := d.drops()
	if r == Forwarded {
		return len(drops) == 0
	}
	return len(drops) == 1 && drops[r] == 1
}

func TestEgress(t *testing.T) {
	ping := packettest.Spec{Protocol: packet.ICMP, Payload: []byte{8, 0, 0, 0, 0, 1, 0, 1}}
	to := func(dst string) packettest.Spec { s := ping; s.Dst = dst; return s }
	tests := []struct {
		name   string
		packet []byte
		to     string // the datagram's destination; "" if none is sent
		drop   Reason
		answer icmpError // zero: none
	}{
		{"to a peer", packettest.Spec{Payload: packettest.Pattern(1452)}.Build(), "192.0.2.2:8285", Forwarded, icmpError{}},
		{"to a peer on another port", to("10.244.3.0").Build(), "192.0.2.3:9000", Forwarded, icmpError{}},
		{"from the host itself", packettest.Spec{Src: "10.244.1.0"}.Build(), "192.0.2.2:8285", Forwarded, icmpError{}},
		{"with options", packettest.Spec{Options: []byte{148, 4, 0, 0}}.Build(), "192.0.2.2:8285", Forwarded, icmpError{}},
		{"last TTL but one", packettest.Spec{TTL: 2}.Build(), "192.0.2.2:8285", Forwarded, icmpError{}},
		{"to no node's lease", to("10.244.99.1").Build(), "", NoRoute, icmpError{3, 0}},
		{"to a dead peer", to("10.244.4.1").Build(), "", PeerUnreachable, icmpError{3, 1}},
		{"to the own lease", to("10.244.1.77").Build(), "", OwnLease, icmpError{3, 1}},
		{"TTL 1", packettest.Spec{TTL: 1}.Build(), "", TTLExpired, icmpError{11, 0}},
		{"TTL 0", packettest.Changed(packettest.Spec{}.Build(), 8, 0), "", TTLExpired, icmpError{11, 0}},
		{"later fragment to no node", packettest.Spec{Dst: "10.244.99.1", Flags: 1, Payload: packettest.Pattern(8)}.Build(), "", NoRoute, icmpError{}},
		{"ICMP error to no node", packettest.Spec{Dst: "10.244.99.1", Protocol: packet.ICMP, Payload: []byte{3, 0, 0, 0, 0, 0, 0, 0}}.Build(), "", NoRoute, icmpError{}},
		{"multicast", packettest.Spec{Dst: "224.0.0.251"}.Build(), "", Multicast, icmpError{}},
		{"limited broadcast", packettest.Spec{Dst: "255.255.255.255"}.Build(), "", Multicast, icmpError{}},
		{"another's source", packettest.Spec{Src: "10.244.2.9"}.Build(), "", ForeignSource, icmpError{}},
		{"a source outside the overlay", packettest.Spec{Src: "192.168.0.1", Dst: "10.244.99.1"}.Build(), "", ForeignSource, icmpError{}},
		{"IPv6", packettest.IPv6(), "", IPv6, icmpError{}},
		{"not IP", []byte{0}, "", NotIP, icmpError{}},
		{"too short", []byte{0x45, 0, 0}, "", TooShort, icmpError{}},
		{"length lies", packettest.Spec{Payload: packettest.Pattern(9)}.Build()[:28], "", BadLength, icmpError{}},
		{"checksum lies", flip(packettest.Spec{}.Build(), 11), "", BadChecksum, icmpError{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := start(t)
			n.queue.Feed(test.packet)
			stats := n.finish(t)
			if !stats.Egress.only(test.drop) || len(stats.Ingress.drops()) > 0 {
				t.Errorf("drops %v, want %s", stats.Egress.drops(), test.drop)
			}
			checkSent(t, n.conn, test.packet, test.to)
			checkAnswer(t, n.queue, test.packet, test.answer)
		})
	}
}

// flip returns p with one bit of byte i wrong.
func flip(p packet.Packet, i int) packet.Packet { p[i] ^= 1; return p }

func checkSent(t *testing.T, c *encaptest.Conn, packet []byte, to string) {
	t.Helper()
	sent := c.Sent(1)
	if to == "" {
		if len(sent) > 0 {
			t.Errorf("sent %x to %s, want nothing", sent[0].Payload, sent[0].Addr)
		}
		return
	}
	if len(sent) == 0 {
		t.Fatal("nothing was sent")
	}
	want := packettest.Forwarded(packet)
	if sent[0].Addr.String() != to || string(sent[0].Payload) != string(want) {
		t.Errorf("sent %x to %s, want %x to %s", sent[0].Payload, sent[0].Addr, want, to)
	}
}

func checkAnswer(t *testing.T, q *tuntest.Queue, about []byte, kind icmpError) {
	t.Helper()
	written := q.Written(1)
	if kind == (icmpError{}) {
		if len(written) > 0 {
			t.Errorf("answered %x, want nothing", written[0])
		}
		return
	}
	if len(written) == 0 {
		t.Fatal("no answer")
	}
	p, err := packet.Parse(written[0])
	if err != nil {
		t.Fatalf("the answer: %v", err)
	}
	icmp := p.Payload()
	if got := (icmpError{icmp[0], icmp[1]}); got != kind || string(icmp[packet.ICMPHeaderLen:]) != string(about) {
		t.Errorf("answer %v about %x, want %v about %x", got, icmp[packet.ICMPHeaderLen:], kind, about)
	}
}

func TestIngress(t *testing.T) {
	good := packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Pattern(100)}
	from := func(src, dst string) []byte { s := good; s.Src, s.Dst = src, dst; return s.Build() }
	tests := []struct {
		name   string
		sender string
		packet []byte
		drop   Reason
	}{
		{"from a peer", "192.0.2.2:8285", good.Build(), Forwarded},
		{"from another port of the peer", "192.0.2.2:50000", good.Build(), Forwarded},
		{"from a peer that shares an address", "192.0.2.2:8286", from("10.244.5.1", "10.244.1.5"), Forwarded},
		{"from a peer thought dead", "192.0.2.4:8285", from("10.244.4.1", "10.244.1.5"), Forwarded},
		{"to the host itself", "192.0.2.2:8285", from("10.244.2.0", "10.244.1.0"), Forwarded},
		{"as long as the device takes", "192.0.2.2:8285", packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Pattern(1452)}.Build(), Forwarded},
		{"a byte longer", "192.0.2.2:8285", packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Pattern(1453)}.Build(), TooLarge},
		{"from a stranger", "198.51.100.1:8285", good.Build(), UnknownSender},
		{"from a stranger with a source of ours", "198.51.100.1:8285", from("10.244.1.9", "10.244.1.5"), UnknownSender},
		{"from a peer with another's source", "192.0.2.2:8285", from("10.244.3.5", "10.244.1.5"), ForeignSource},
		{"from a peer with a source of ours", "192.0.2.2:8285", from("10.244.1.9", "10.244.1.5"), ForeignSource},
		{"from a peer with a source outside the overlay", "192.0.2.2:8285", from("8.8.8.8", "10.244.1.5"), ForeignSource},
		{"to another's lease", "192.0.2.2:8285", from("10.244.2.5", "10.244.3.5"), ForeignDestination},
		{"to the underlay", "192.0.2.2:8285", from("10.244.2.5", "192.0.2.1"), ForeignDestination},
		{"to multicast", "192.0.2.2:8285", from("10.244.2.5", "224.0.0.1"), ForeignDestination},
		{"empty", "192.0.2.2:8285", nil, TooShort},
		{"too short", "192.0.2.2:8285", good.Build()[:19], TooShort},
		{"IPv6", "192.0.2.2:8285", packettest.IPv6(), IPv6},
		{"not IP", "192.0.2.2:8285", []byte("GET / HTTP/1.0\r\n\r\n      "), BadLength}, // 'G' is 0x47
		{"version 1", "192.0.2.2:8285", packettest.Pattern(40)[3:], NotIP},
		{"cut", "192.0.2.2:8285", good.Build()[:100], BadLength},
		{"padded", "192.0.2.2:8285", append(good.Build(), 0), BadLength},
		{"header checksum wrong", "192.0.2.2:8285", flip(good.Build(), 10), BadChecksum},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := start(t)
			n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort(test.sender), Payload: test.packet})
			n.conn.Fail(errDone)
			if err := <-n.ended; !errors.Is(err, errDone) {
				t.Errorf("Run: %v", err)
			}
			stats := n.Stats()
			if !stats.Ingress.only(test.drop) || len(stats.Egress.drops()) > 0 {
				t.Errorf("drops %v, want %s", stats.Ingress.drops(), test.drop)
			}
			if sent := n.conn.Sent(1); len(sent) > 0 {
				t.Errorf("answered to the underlay: %x", sent[0].Payload)
			}
			written := n.queue.Written(1)
			if test.drop != Forwarded {
				if len(written) > 0 {
					t.Errorf("let in %x", written[0])
				}
				return
			}
			if len(written) != 1 || string(written[0]) != string(test.packet) {
				t.Errorf("wrote %x, want %x", written, test.packet)
			}
			if v := stats.Ingress.Volume; v != (Volume{1, uint64(len(test.packet))}) {
				t.Errorf("counted %+v", v)
			}
		})
	}
}

// A packet of a peer's lease from where no peer is shows NAT between the two.
// What comes from another peer is none, and neither is a source of no lease.
func TestThePeerOfAStrayPacketIsKnown(t *testing.T) {
	n := start(t)
	for _, d := range []struct{ from, source string }{
		{"198.51.100.1:8285", "10.244.2.5"}, {"192.0.2.2:8285", "10.244.3.5"}, {"198.51.100.2:8285", "10.244.200.5"},
	} {
		n.conn.Deliver(encaptest.Datagram{
			Addr: netip.MustParseAddrPort(d.from), Payload: packettest.Spec{Src: d.source, Dst: "10.244.1.5"}.Build(),
		})
	}
	n.conn.Fail(errDone)
	if err := <-n.ended; !errors.Is(err, errDone) {
		t.Errorf("Run: %v", err)
	}
	for lease, want := range map[string]string{"10.244.2.0/24": "198.51.100.1", "10.244.3.0/24": "invalid IP"} {
		hop, ok := n.table.Lookup(netip.MustParsePrefix(lease).Addr())
		if !ok || hop.Peer.Stray().String() != want {
			t.Errorf("%s: %v, %t, want %s", lease, hop.Peer.Stray(), ok, want)
		}
	}
}

func TestStrayPacketsAreForgotten(t *testing.T) {
	p := NewPeer("b", netip.MustParseAddrPort("192.0.2.2:8285"), 0)
	from := netip.MustParseAddr("198.51.100.1")
	for _, step := range []struct {
		from netip.Addr
		at   time.Time
		want netip.Addr
	}{
		{from, time.Now(), from}, {netip.AddrFrom16(from.As16()), time.Now(), from}, {netip.MustParseAddr("2001:db8::1"), time.Now(), from},
		{from, time.Now().Add(-strayTime - 2*time.Second), netip.Addr{}},
	} {
		if p.strayed(step.from, step.at); p.Stray() != step.want {
			t.Errorf("%v at %v: %v, want %v", step.from, step.at, p.Stray(), step.want)
		}
	}
}

func TestPeersAreCounted(t *testing.T) {
	n := start(t)
	n.queue.Feed(packettest.Spec{}.Build(), packettest.Spec{Payload: packettest.Pattern(80)}.Build(), packettest.Spec{Dst: "10.244.3.1"}.Build())
	n.conn.Deliver(encaptest.Datagram{
		Addr:    netip.MustParseAddrPort("192.0.2.2:8285"),
		Payload: packettest.Spec{Src: "10.244.2.1", Dst: "10.244.1.1", Payload: packettest.Pattern(10)}.Build(),
	})
	n.queue.Written(1)
	n.finish(t)
	hop, _ := n.table.Lookup(netip.MustParseAddr("10.244.2.1"))
	egress, ingress := hop.Peer.Traffic()
	if egress != (Volume{2, 120}) || ingress != (Volume{1, 30}) {
		t.Errorf("b: egress %+v, ingress %+v; want 2 packets of 120 bytes, 1 of 30", egress, ingress)
	}
}

func TestTableChangeTakesEffectWithTheNextBatch(t *testing.T) {
	n := start(t)
	n.queue.Feed(packettest.Spec{}.Build())
	if sent := n.conn.Sent(1); sent[0].Addr.String() != "192.0.2.2:8285" {
		t.Errorf("sent to %s", sent[0].Addr)
	}
	if err := n.table.store([]Entry{via("10.244.2.0/24", testPeer("moved", "192.0.2.9:1"))}); err != nil {
		t.Fatal(err)
	}
	n.queue.Feed(packettest.Spec{}.Build())
	if sent := n.conn.Sent(1); sent[0].Addr.String() != "192.0.2.9:1" {
		t.Errorf("sent to %s after the table changed", sent[0].Addr)
	}
	n.finish(t)
}

func TestRunEndsWithItsContext(t *testing.T) {
	defer goleak.VerifyNone(t)
	n := start(t)
	n.stop()
	if err := <-n.ended; err != nil {
		t.Errorf("Run: %v, want nil", err)
	}
	if err := n.queue.Close(); err != fs.ErrClosed {
		t.Errorf("the queue was not closed: %v", err)
	}
	if err := n.conn.Close(); err != net.ErrClosed {
		t.Errorf("the socket was not closed: %v", err)
	}
}

func TestRunEndsWhenALoopFails(t *testing.T) {
	defer goleak.VerifyNone(t)
	other := fakeLane(tuntest.NewQueue(), encaptest.NewConn())
	n := start(t, func(c *Config) { c.Lanes = append(c.Lanes, other) })
	n.queue.Fail(tun.ErrDeviceGone)
	err := <-n.ended
	if !errors.Is(err, tun.ErrDeviceGone) || !strings.Contains(err.Error(), "lane 0: egress") {
		t.Errorf("Run: %v, want %v of lane 0", err, tun.ErrDeviceGone)
	}
}

func TestALaneClosedByAnotherIsAFailure(t *testing.T) {
	n := start(t)
	n.conn.Close()
	if err := <-n.ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run: %v, want %v", err, net.ErrClosed)
	}
}

func TestRunRunsOnce(t *testing.T) {
	n := start(t)
	n.stop()
	<-n.ended
	if err := n.Run(t.Context()); err == nil {
		t.Error("Run ran again")
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, breakIt := range map[string]func(*Config){
		"no lanes":    func(c *Config) { c.Lanes = nil },
		"no table":    func(c *Config) { c.Table = nil },
		"no logger":   func(c *Config) { c.Logger = nil },
		"no lease":    func(c *Config) { c.Lease = netip.Prefix{} },
		"IPv6 lease":  func(c *Config) { c.Lease = netip.MustParsePrefix("fd00::/64") },
		"host bits":   func(c *Config) { c.Lease = netip.MustParsePrefix("10.244.1.1/24") },
		"MTU too low": func(c *Config) { c.MTU = 67 },
		"MTU too big": func(c *Config) { c.MTU = 65508 },
	} {
		cfg := testConfig(t, fakeLane(tuntest.NewQueue(), encaptest.NewConn()))
		breakIt(&cfg)
		if _, err := NewForwarder(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
