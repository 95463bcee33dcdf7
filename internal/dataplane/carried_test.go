// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net/netip"
	"testing"
	"time"

	"flanneld/route"
)

func flow(out, in uint64) Flow {
	return Flow{Egress: route.Volume{Packets: out, Bytes: 100 * out}, Ingress: route.Volume{Packets: in, Bytes: 100 * in}}
}

func TestWhatTheKernelCarriedAddsUp(t *testing.T) {
	b, c := netip.MustParsePrefix("10.244.2.0/24"), netip.MustParsePrefix("10.244.3.0/24")
	peer := route.NewPeer("b", netip.MustParseAddrPort("192.0.2.2:8285"), 1472)
	peerOf := func(p netip.Prefix) *route.Peer {
		if p == b {
			return peer
		}
		return nil
	}
	var sums Carried
	for _, step := range []struct {
		name      string
		prefixes  map[netip.Prefix]Flow
		all       Flow
		ofB, sumA Flow
	}{
		{"the first look", map[netip.Prefix]Flow{b: flow(10, 20), c: flow(1, 1)}, flow(11, 21), flow(10, 20), flow(11, 21)},
		{"nothing new", map[netip.Prefix]Flow{b: flow(10, 20), c: flow(1, 1)}, flow(11, 21), flow(10, 20), flow(11, 21)},
		{"more", map[netip.Prefix]Flow{b: flow(15, 22), c: flow(1, 1)}, flow(16, 23), flow(15, 22), flow(16, 23)},
		{"counters begin anew", map[netip.Prefix]Flow{b: flow(2, 1)}, flow(2, 1), flow(17, 23), flow(18, 24)},
	} {
		sums.Read(func() (map[netip.Prefix]Flow, Flow) { return step.prefixes, step.all }, peerOf)
		if got := sums.Of(b); got != step.ofB {
			t.Errorf("%s: %+v of one, want %+v", step.name, got, step.ofB)
		}
		if got := sums.All(); got != step.sumA {
			t.Errorf("%s: %+v of all, want %+v", step.name, got, step.sumA)
		}
		egress, ingress := peer.Traffic()
		if got := sums.Of(b); egress != got.Egress || ingress != got.Ingress {
			t.Errorf("%s: the peer has %+v and %+v, the sum is %+v", step.name, egress, ingress, got)
		}
	}
	if got := sums.Of(c); got != (Flow{}) {
		t.Errorf("a prefix that is gone still has %+v", got)
	}
}

// A reading that takes long is not overtaken by a later one: then the older one
// would be counted whole again.
func TestReadingsAreTakenInTheirOrder(t *testing.T) {
	b := netip.MustParsePrefix("10.244.2.0/24")
	none := func(netip.Prefix) *route.Peer { return nil }
	var sums Carried
	later := make(chan struct{})
	sums.Read(func() (map[netip.Prefix]Flow, Flow) {
		go func() {
			defer close(later)
			sums.Read(func() (map[netip.Prefix]Flow, Flow) { return map[netip.Prefix]Flow{b: flow(12, 24)}, flow(12, 24) }, none)
		}()
		select {
		case <-later:
		case <-time.After(50 * time.Millisecond):
		}
		return map[netip.Prefix]Flow{b: flow(10, 20)}, flow(10, 20)
	}, none)
	<-later
	if got, all := sums.Of(b), sums.All(); got != flow(12, 24) || all != flow(12, 24) {
		t.Errorf("%+v of one and %+v of all, want %+v", got, all, flow(12, 24))
	}
}

func TestACounterThatBeginsAnewTakesNothingAway(t *testing.T) {
	var one carried
	one.advance(flow(100, 7))
	if more := one.advance(flow(3, 7)); more != flow(3, 0) {
		t.Errorf("%+v are new", more)
	}
	if one.sum != flow(103, 7) {
		t.Errorf("the sum is %+v", one.sum)
	}
}
