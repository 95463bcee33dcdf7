// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/netip"
	"testing"

	"flanneld/internal/plan"
	"flanneld/internal/plan/plantest"
	"flanneld/peers"
)

// aThousand is a snapshot of as many nodes that take all paths.
func aThousand(network netip.Prefix) *peers.Snapshot {
	s := plantest.Snapshot(peers.Confirmed)
	s.Network.Prefix = network
	for i := range 1000 {
		n := plantest.Node(fmt.Sprintf("n%d", i), peers.Alive, 2)
		a, b := byte(i/250), byte(i%250)
		n.Endpoint = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 8 + a, b + 1}), 8285)
		n.Lease.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 248 + a, b, 0}), 24)
		n.Caps = plan.Announced([]plan.Path{plan.PathDirect, plan.PathVXLAN, plan.PathUDP}, 8472, 1, nil)
		s.Nodes = append(s.Nodes, n)
	}
	return s
}

// A plan for a thousand nodes is made and handed on at each change of a proof,
// by the goroutine that does everything else.
func BenchmarkPlanForAThousandNodes(b *testing.B) {
	d := onEthernet(b, "auto")
	s := aThousand(netip.MustParsePrefix("10.240.0.0/12"))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.route(s); err != nil {
			b.Fatal(err)
		}
	}
}
