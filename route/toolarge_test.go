// SPDX-License-Identifier: Apache-2.0

package route

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// The sender of a packet that is larger than the device's MTU gets an ICMP
// message through its own node, if the packet must not be fragmented. Nothing
// else is sent.
func TestSenderOfATooLargePacketIsTold(t *testing.T) {
	large := func(change func(*packettest.Spec)) []byte {
		s := packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Flags: packet.FlagDF, Payload: packettest.Pattern(1453)}
		if change != nil {
			change(&s)
		}
		return s.Build()
	}
	for _, test := range []struct {
		name   string
		sender string
		packet []byte
		told   bool
	}{
		{"from a peer", "192.0.2.2:8285", large(nil), true},
		{"from another port of the peer", "192.0.2.2:40000", large(nil), true},
		{"from a peer thought dead", "192.0.2.4:8285", large(func(s *packettest.Spec) { s.Src = "10.244.4.5" }), true},
		{"may be fragmented", "192.0.2.2:8285", large(func(s *packettest.Spec) { s.Flags = 0 }), false},
		{"from a stranger", "198.51.100.1:8285", large(nil), false},
		{"with another's source", "192.0.2.3:8285", large(nil), false},
		{"to another's lease", "192.0.2.2:8285", large(func(s *packettest.Spec) { s.Dst = "10.244.3.5" }), false},
		{"from a broadcast address", "192.0.2.2:8285", large(func(s *packettest.Spec) { s.Src = "10.244.2.255" }), false},
		{"a later fragment", "192.0.2.2:8285", large(func(s *packettest.Spec) { s.Flags = packet.FlagDF | 100 }), false},
		{"an ICMP error", "192.0.2.2:8285", large(func(s *packettest.Spec) { s.Protocol, s.Payload[0] = packet.ICMP, 3 }), false},
		{"header checksum wrong", "192.0.2.2:8285", flip(large(nil), 10), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := start(t)
			n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort(test.sender), Payload: test.packet})
			n.conn.Fail(errDone)
			<-n.ended
			stats := n.Stats()
			if !stats.Ingress.only(TooLarge) || stats.Answers.Sent > 0 != test.told {
				t.Errorf("drops %v, answers %+v", stats.Ingress.drops(), stats.Answers)
			}
			sent := n.conn.Sent(1)
			if len(sent) > 0 != test.told {
				t.Fatalf("%d datagrams sent", len(sent))
			}
			if test.told {
				checkNotice(t, sent[0], test.packet)
			}
		})
	}
}

// checkNotice checks the ICMP message about a packet and where it went.
func checkNotice(t *testing.T, d encaptest.Datagram, about packet.Packet) {
	t.Helper()
	p, err := packet.Parse(d.Payload)
	if err != nil {
		t.Fatalf("the notice: %v", err)
	}
	hop := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, about[14]}), 8285)
	if d.Addr != hop || p.Destination() != about.Source() || !testLease.Contains(p.Source()) {
		t.Errorf("from %s to %s by %s", p.Source(), p.Destination(), d.Addr)
	}
	icmp := p.Payload()
	if icmp[0] != 3 || icmp[1] != 4 || binary.BigEndian.Uint16(icmp[6:]) != 1472 || packettest.SlowChecksum(icmp) != 0 {
		t.Errorf("message %x, want type 3, code 4, MTU 1472", icmp[:packet.ICMPHeaderLen])
	}
}

func TestNoticesAreLimited(t *testing.T) {
	n := start(t)
	p := packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Flags: packet.FlagDF, Payload: packettest.Pattern(1453)}.Build()
	const packets = answerBurst + 50
	for range packets {
		n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: p})
	}
	n.conn.Fail(errDone)
	<-n.ended
	if a := n.Stats().Answers; a.Sent+a.Suppressed != packets || a.Sent < answerBurst || a.Suppressed == 0 {
		t.Errorf("answers %+v of %d packets", a, packets)
	}
}

// The log names a peer that sends too large packets, once, and no stranger.
func TestPeersWithTooLargePacketsAreLogged(t *testing.T) {
	var log bytes.Buffer
	n := start(t, func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for _, from := range []struct{ sender, source string }{
		{"192.0.2.2:8285", "10.244.2.5"}, {"192.0.2.2:8285", "10.244.2.6"},
		{"198.51.100.1:8285", "10.244.2.5"}, {"192.0.2.3:9000", "10.244.3.5"},
	} {
		p := packettest.Spec{Src: from.source, Dst: "10.244.1.5", Payload: packettest.Pattern(1453)}.Build()
		for range 3 {
			n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort(from.sender), Payload: p})
		}
	}
	n.conn.Fail(errDone)
	<-n.ended
	if got := strings.Count(log.String(), "packet=1473"); got != 2 || !strings.Contains(log.String(), "peer=b") || !strings.Contains(log.String(), "peer=c") {
		t.Errorf("logged %d times, want once for each peer:\n%s", got, log.String())
	}
}
