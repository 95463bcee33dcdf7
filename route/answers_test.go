package route

import (
	"net/netip"
	"slices"
	"testing"

	"flanneld/encap/encaptest"
)

// What answers this program's own packets is taken out of the way; all else
// goes on as if there were no such thing.
func TestAnswersAreTakenAndNothingElse(t *testing.T) {
	const host = "10.244.1.0" // the lease's first address
	mine := []byte("mine....")
	in := func(p spec) spec { p.src = "10.244.2.0"; return p }
	for name, c := range map[string]struct {
		packet spec
		taken  bool
	}{
		"an answer":                 {in(spec{dst: host, protocol: protocolICMP, payload: mine}), true},
		"a ping of a user":          {in(spec{dst: host, protocol: protocolICMP, payload: pattern(64)}), false},
		"for a container":           {in(spec{dst: "10.244.1.5", protocol: protocolICMP, payload: mine}), false},
		"another protocol":          {in(spec{dst: host, payload: mine}), false},
		"the beginning of a packet": {in(spec{dst: host, protocol: protocolICMP, flags: flagMF, payload: mine}), false},
		"the end of a packet":       {in(spec{dst: host, protocol: protocolICMP, flags: 1, payload: mine}), false},
	} {
		n := start(t, func(cfg *Config) { cfg.Answers = func(p []byte) bool { return slices.Equal(p[minHeader:], mine) } })
		last := in(spec{dst: "10.244.1.9"}).build()
		for _, p := range []packet{c.packet.build(), last} {
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

// An answer from a sender that is no peer, or not the right one, is none.
func TestAnswersComeFromPeersOnly(t *testing.T) {
	taken := 0
	n := start(t, func(cfg *Config) { cfg.Answers = func([]byte) bool { taken++; return true } })
	p := spec{src: "10.244.2.0", dst: "10.244.1.0", protocol: protocolICMP, payload: pattern(16)}.build()
	for _, from := range []string{"192.0.2.3:9000", "192.0.2.77:8285"} {
		n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort(from), Payload: p})
	}
	last := spec{src: "10.244.2.0", dst: "10.244.1.9"}.build()
	n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: last})
	n.queue.Written(1)
	if n.finish(t); taken != 0 {
		t.Errorf("%d were taken", taken)
	}
}

// This host's own kernel answers to an address that no route has.
func TestAnswersOfThisHostAreTakenBeforeTheyAreRefused(t *testing.T) {
	mine := []byte("mine....")
	n := start(t, func(cfg *Config) { cfg.Answers = func(p []byte) bool { return slices.Equal(p[minHeader:], mine) } })
	n.queue.Feed(
		spec{src: "10.244.1.0", dst: "10.244.0.1", protocol: protocolICMP, payload: mine}.build(),
		spec{src: "10.244.1.0", dst: "10.244.0.1", protocol: protocolICMP, payload: pattern(8)}.build(),
		spec{src: "10.244.1.0", dst: "10.244.0.1", payload: mine}.build(),
	)
	c := n.finish(t)
	if got := c.Egress.drops()[NoRoute]; got != 2 {
		t.Errorf("%d packets without a route, want 2: %+v", got, c.Egress)
	}
}

// A packet that is too large is counted for the peer that it is from, and for
// no peer if it is from another address.
func TestTooLargePacketsAreCountedForTheirPeer(t *testing.T) {
	n := start(t)
	large := spec{src: "10.244.2.5", dst: "10.244.1.5", payload: pattern(1500)}.build()
	for _, from := range []string{"192.0.2.2:8285", "192.0.2.3:9000", "192.0.2.77:8285"} {
		n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort(from), Payload: large})
	}
	n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: slices.Repeat([]byte{0xff}, 2000)})
	n.conn.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: spec{src: "10.244.2.5", dst: "10.244.1.9"}.build()})
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
