// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"net/netip"
	"testing"

	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// marked makes a packet with a type of service.
func marked(s packettest.Spec, tos byte) packet.Packet {
	p := s.Build()
	p[1] = tos
	p.SetChecksum()
	return p
}

// The table of RFC 6040, section 4.2, figure 4.
func TestCongestionMarksOfTheUnderlayReachTheTransport(t *testing.T) {
	const dscp = 0b101110_00
	back := packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Pattern(40)}
	for _, test := range []struct{ inner, outer, want byte }{
		{packet.ECNNone, packet.ECNNone, packet.ECNNone}, {packet.ECNNone, packet.ECNECT0, packet.ECNNone}, {packet.ECNNone, packet.ECNECT1, packet.ECNNone},
		{packet.ECNECT0, packet.ECNNone, packet.ECNECT0}, {packet.ECNECT0, packet.ECNECT0, packet.ECNECT0}, {packet.ECNECT0, packet.ECNECT1, packet.ECNECT1}, {packet.ECNECT0, packet.ECNCE, packet.ECNCE},
		{packet.ECNECT1, packet.ECNNone, packet.ECNECT1}, {packet.ECNECT1, packet.ECNECT0, packet.ECNECT1}, {packet.ECNECT1, packet.ECNECT1, packet.ECNECT1}, {packet.ECNECT1, packet.ECNCE, packet.ECNCE},
		{packet.ECNCE, packet.ECNNone, packet.ECNCE}, {packet.ECNCE, packet.ECNECT0, packet.ECNCE}, {packet.ECNCE, packet.ECNECT1, packet.ECNCE}, {packet.ECNCE, packet.ECNCE, packet.ECNCE},
	} {
		t.Run(fmt.Sprintf("inner %02b outer %02b", test.inner, test.outer), func(t *testing.T) {
			n := start(t)
			n.conn.Deliver(encaptest.Datagram{
				Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: marked(back, dscp|test.inner), TOS: dscp | test.outer,
			})
			got := n.queue.Written(1)
			if want := marked(back, dscp|test.want); len(got) != 1 || string(got[0]) != string(want) {
				t.Errorf("wrote %x, want %x", got, want)
			}
			if stats := n.finish(t); !stats.Ingress.only(Forwarded) {
				t.Errorf("drops %v", stats.Ingress.drops())
			}
		})
	}
}

func TestCongestionIsALossForThoseWhoDoNotUnderstandMarks(t *testing.T) {
	n := start(t)
	back := packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: packettest.Pattern(40)}
	from := netip.MustParseAddrPort("192.0.2.2:8285")
	n.conn.Deliver(
		encaptest.Datagram{Addr: from, Payload: marked(back, packet.ECNNone), TOS: packet.ECNCE},
		encaptest.Datagram{Addr: from, Payload: marked(back, packet.ECNECT0)},
	)
	if got := n.queue.Written(1); len(got) != 1 || packet.Packet(got[0]).TOS() != packet.ECNECT0 {
		t.Errorf("wrote %x, want the second packet only", got)
	}
	if stats := n.finish(t); !stats.Ingress.only(Congestion) {
		t.Errorf("drops %v, want one for congestion", stats.Ingress.drops())
	}
}

func TestTypeOfServiceIsTheSameOutsideAndNeverMixedInATrain(t *testing.T) {
	n := start(t)
	n.conn.SetMaxSegments(64)
	tos := []byte{0, 0, 0xb8, 0xb8 | packet.ECNECT0, 0xb8 | packet.ECNECT0, packet.ECNCE}
	for _, v := range tos {
		n.queue.Feed(marked(packettest.Spec{Payload: packettest.Pattern(100)}, v))
	}
	for i, d := range n.conn.Sent(len(tos)) {
		if p := packet.Packet(d.Payload); d.TOS != tos[i] || p.TOS() != tos[i] {
			t.Errorf("packet %d: %#x outside, %#x inside, want %#x", i, d.TOS, p.TOS(), tos[i])
		}
	}
}
