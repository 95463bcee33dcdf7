package route

import (
	"fmt"
	"net/netip"
	"testing"

	"flanneld/encap/encaptest"
)

// marked makes a packet with a type of service.
func marked(s spec, tos byte) packet {
	p := s.build()
	p[1] = tos
	p.seal()
	return p
}

// The table of RFC 6040, section 4.2, figure 4.
func TestCongestionMarksOfTheUnderlayReachTheTransport(t *testing.T) {
	const dscp = 0b101110_00
	back := spec{src: "10.244.2.5", dst: "10.244.1.5", payload: pattern(40)}
	for _, test := range []struct{ inner, outer, want byte }{
		{ecnNone, ecnNone, ecnNone}, {ecnNone, ecnECT0, ecnNone}, {ecnNone, ecnECT1, ecnNone},
		{ecnECT0, ecnNone, ecnECT0}, {ecnECT0, ecnECT0, ecnECT0}, {ecnECT0, ecnECT1, ecnECT1}, {ecnECT0, ecnCE, ecnCE},
		{ecnECT1, ecnNone, ecnECT1}, {ecnECT1, ecnECT0, ecnECT1}, {ecnECT1, ecnECT1, ecnECT1}, {ecnECT1, ecnCE, ecnCE},
		{ecnCE, ecnNone, ecnCE}, {ecnCE, ecnECT0, ecnCE}, {ecnCE, ecnECT1, ecnCE}, {ecnCE, ecnCE, ecnCE},
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
	back := spec{src: "10.244.2.5", dst: "10.244.1.5", payload: pattern(40)}
	from := netip.MustParseAddrPort("192.0.2.2:8285")
	n.conn.Deliver(
		encaptest.Datagram{Addr: from, Payload: marked(back, ecnNone), TOS: ecnCE},
		encaptest.Datagram{Addr: from, Payload: marked(back, ecnECT0)},
	)
	if got := n.queue.Written(1); len(got) != 1 || packet(got[0]).tos() != ecnECT0 {
		t.Errorf("wrote %x, want the second packet only", got)
	}
	if stats := n.finish(t); !stats.Ingress.only(Congestion) {
		t.Errorf("drops %v, want one for congestion", stats.Ingress.drops())
	}
}

func TestTypeOfServiceIsTheSameOutsideAndNeverMixedInATrain(t *testing.T) {
	n := start(t)
	n.conn.SetMaxSegments(64)
	tos := []byte{0, 0, 0xb8, 0xb8 | ecnECT0, 0xb8 | ecnECT0, ecnCE}
	for _, v := range tos {
		n.queue.Feed(marked(spec{payload: pattern(100)}, v))
	}
	for i, d := range n.conn.Sent(len(tos)) {
		if p := packet(d.Payload); d.TOS != tos[i] || p.tos() != tos[i] {
			t.Errorf("packet %d: %#x outside, %#x inside, want %#x", i, d.TOS, p.tos(), tos[i])
		}
	}
}
