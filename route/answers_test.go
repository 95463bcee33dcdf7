// SPDX-License-Identifier: Apache-2.0

package route

import (
	"net/netip"
	"slices"
	"testing"

	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// Answers to this program's own packets are taken out. All other packets
// continue as without this feature.
func TestAnswersAreTakenAndNothingElse(t *testing.T) {
	const host = "10.244.1.0" // the lease's first address
	mine := []byte("mine....")
	tcp := func(flags byte) []byte { return []byte{0: 0x9c, 13: flags, 19: 0} }
	in := func(p packettest.Spec) packettest.Spec { p.Src = "10.244.2.0"; return p }
	for name, c := range map[string]struct {
		packet packettest.Spec
		taken  bool
	}{
		"an answer":                 {in(packettest.Spec{Dst: host, Protocol: packet.ICMP, Payload: mine}), true},
		"a ping of a user":          {in(packettest.Spec{Dst: host, Protocol: packet.ICMP, Payload: packettest.Pattern(64)}), false},
		"for a container":           {in(packettest.Spec{Dst: "10.244.1.5", Protocol: packet.ICMP, Payload: mine}), false},
		"a reset":                   {in(packettest.Spec{Dst: host, Protocol: packet.TCP, Payload: tcp(0x14)}), true},
		"a reset for a container":   {in(packettest.Spec{Dst: "10.244.1.5", Protocol: packet.TCP, Payload: tcp(0x14)}), false},
		"a segment of a connection": {in(packettest.Spec{Dst: host, Protocol: packet.TCP, Payload: tcp(0x10)}), false},
		"the beginning of a reset":  {in(packettest.Spec{Dst: host, Protocol: packet.TCP, Payload: tcp(0x14)[:14]}), false},
		"another protocol":          {in(packettest.Spec{Dst: host, Payload: mine}), false},
		"the beginning of a packet": {in(packettest.Spec{Dst: host, Protocol: packet.ICMP, Flags: packet.FlagMF, Payload: mine}), true},
		"the end of a packet":       {in(packettest.Spec{Dst: host, Protocol: packet.ICMP, Flags: 1, Payload: mine}), false},
	} {
		n := start(t, func(cfg *Config) {
			cfg.Answers = func(p []byte) bool {
				return slices.Equal(p[packet.HeaderLen:], mine) || p[9] == packet.TCP
			}
		})
		last := in(packettest.Spec{Dst: "10.244.1.9"}).Build()
		for _, p := range []packet.Packet{c.packet.Build(), last} {
			n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: p})
		}
		want := 2
		if c.taken {
			want = 1
		}
		got := n.queue.Written(want)
		if !slices.Equal(got[want-1], last) {
			t.Errorf("%s: %d packets written, the last is not the last", name, len(got))
		}
		counters := n.finish(t)
		if counters.Ingress.Packets != uint64(want) || len(counters.Ingress.drops()) != 0 {
			t.Errorf("%s: counted %+v", name, counters.Ingress)
		}
	}
}

// An answer from a sender that is not a peer, or the wrong peer, does not
// count.
func TestAnswersComeFromPeersOnly(t *testing.T) {
	taken := 0
	n := start(t, func(cfg *Config) { cfg.Answers = func([]byte) bool { taken++; return true } })
	p := packettest.Spec{Src: "10.244.2.0", Dst: "10.244.1.0", Protocol: packet.ICMP, Payload: packettest.Pattern(16)}.Build()
	for _, from := range []string{"192.0.2.3:9000", "192.0.2.77:8285"} {
		n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort(from), Payload: p})
	}
	last := packettest.Spec{Src: "10.244.2.0", Dst: "10.244.1.9"}.Build()
	n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: last})
	n.queue.Written(1)
	if n.finish(t); taken != 0 {
		t.Errorf("%d were taken", taken)
	}
}

// This host's own kernel answers to an address that no route has.
func TestAnswersOfThisHostAreTakenBeforeTheyAreRefused(t *testing.T) {
	mine := []byte("mine....")
	n := start(t, func(cfg *Config) {
		cfg.Answers = func(p []byte) bool { return slices.Equal(p[packet.HeaderLen:], mine) }
	})
	n.queue.Feed(
		packettest.Spec{Src: "10.244.1.0", Dst: "10.244.0.1", Protocol: packet.ICMP, Payload: mine}.Build(),
		packettest.Spec{Src: "10.244.1.0", Dst: "10.244.0.1", Protocol: packet.ICMP, Payload: packettest.Pattern(8)}.Build(),
		packettest.Spec{Src: "10.244.1.0", Dst: "10.244.0.1", Payload: mine}.Build(),
	)
	c := n.finish(t)
	if got := c.Egress.drops()[NoRoute]; got != 2 {
		t.Errorf("%d packets without a route, want 2: %+v", got, c.Egress)
	}
}

// A packet that is too large is counted for its peer, and for no peer if it
// comes from another address.
func TestTooLargePacketsAreCountedForTheirPeer(t *testing.T) {
	n := start(t)
	large := packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Pattern(1500)}.Build()
	for _, from := range []string{"192.0.2.2:8285", "192.0.2.3:9000", "192.0.2.77:8285"} {
		n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort(from), Payload: large})
	}
	n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: slices.Repeat([]byte{0xff}, 2000)})
	n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.9"}.Build()})
	n.queue.Written(1)
	if got := n.finish(t).Ingress.drops()[TooLarge]; got != 4 {
		t.Errorf("%d dropped, want 4", got)
	}
	for address, want := range map[string]uint64{"10.244.2.5": 1, "10.244.3.5": 0} {
		if hop, _ := n.table.Lookup(netip.MustParseAddr(address)); hop.Peer.TooLarge() != want {
			t.Errorf("%s: counted %d, want %d", hop.Peer.Name(), hop.Peer.TooLarge(), want)
		}
	}
}
