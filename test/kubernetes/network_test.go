// SPDX-License-Identifier: Apache-2.0

//go:build kubernetes

package kubernetes

import (
	"net/netip"
	"testing"
	"time"

	"flanneld/test/lab"
)

// TestCluster plays everything that happens to a cluster of three nodes, on one
// cluster, in this order.
func TestCluster(t *testing.T) {
	c := startCluster(t, 3)
	for _, scenario := range []struct {
		name string
		play func(t *testing.T, c *cluster)
	}{
		{"Pods", podsReachEachOther},
		{"Services", servicesReachPods},
		{"Restart", flanneldRestarted},
		{"Drained", nodeDrained},
		{"Killed", nodeKilledAndBack},
		{"Reimaged", nodeReimaged},
		{"ServerAway", serverAway},
	} {
		if !t.Run(scenario.name, func(t *testing.T) { scenario.play(t, c) }) {
			t.FailNow()
		}
	}
}

// podsReachEachOther: what a network plugin owes. Every pod reaches every other
// one and every node, and nodes reach all pods, each with its own address.
func podsReachEachOther(t *testing.T, c *cluster) {
	pods := c.probes(t)
	const bytes = 1 << 20
	for i, from := range pods {
		for j, to := range pods {
			if i == j {
				continue
			}
			from.Reachable(t, to.addr, 10*time.Second)
			if got := lab.SendTCP(t, from.Namespace, to.Namespace, at(to.addr, 7000), bytes); got.Source != from.addr {
				t.Errorf("%v reached %v as %v", from.addr, to.addr, got.Source)
			}
			if got := lab.SendUDP(t, from.Namespace, to.Namespace, at(to.addr, 7001), 20, 1000); got.Source != from.addr {
				t.Errorf("%v reached %v by UDP as %v", from.addr, to.addr, got.Source)
			}
		}
		for _, n := range c.nodes {
			// Other nodes need not know the way to pods: there the node's own
			// address arrives, as with flannel.
			got := lab.SendTCP(t, from.Namespace, n.Namespace, at(n.Addr, 7002), bytes)
			if got.Source != from.addr && (n == from.node || !from.node.has(t, got.Source)) {
				t.Errorf("%v reached %s as %v", from.addr, n.NodeName, got.Source)
			}
			if got := lab.SendTCP(t, n.Namespace, from.Namespace, at(from.addr, 7003), bytes); !n.has(t, got.Source) {
				t.Errorf("%s reached %v as %v, which is not its address", n.NodeName, from.addr, got.Source)
			}
		}
	}
}

func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }
