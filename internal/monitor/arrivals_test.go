// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"maps"
	"net/netip"
	"testing"

	"flanneld/internal/plan"
)

// The kernel's counters begin anew and vanish. The sums only grow.
func TestArrivalsOnlyGrow(t *testing.T) {
	b := TrafficKey{plan.PathVXLAN, netip.MustParsePrefix("10.244.2.0/24")}
	c := TrafficKey{plan.PathVXLAN, netip.MustParsePrefix("10.244.3.0/24")}
	d := TrafficKey{plan.PathDirect, netip.MustParsePrefix("10.244.2.0/24")}
	var a arrivals
	for i, step := range []struct {
		counts map[TrafficKey]Traffic
		byPeer map[TrafficKey]Traffic
		vxlan  Traffic
	}{
		{nil, nil, Traffic{}},
		{map[TrafficKey]Traffic{b: {100, 1000}}, map[TrafficKey]Traffic{b: {}}, Traffic{}}, // from before
		{map[TrafficKey]Traffic{b: {103, 1300}, c: {1, 10}}, map[TrafficKey]Traffic{b: {3, 300}, c: {1, 10}}, Traffic{4, 310}},
		{map[TrafficKey]Traffic{b: {2, 20}, c: {1, 10}, d: {5, 50}}, map[TrafficKey]Traffic{b: {5, 320}, c: {1, 10}, d: {5, 50}}, Traffic{6, 330}},
		{nil, map[TrafficKey]Traffic{b: {5, 320}, c: {1, 10}, d: {5, 50}}, Traffic{6, 330}},
		{map[TrafficKey]Traffic{c: {2, 20}}, map[TrafficKey]Traffic{c: {2, 20}}, Traffic{7, 340}},
		{map[TrafficKey]Traffic{b: {1, 10}, c: {2, 20}}, map[TrafficKey]Traffic{b: {1, 10}, c: {2, 20}}, Traffic{8, 350}},
	} {
		a.take(step.counts)
		if !maps.Equal(a.byPeer, step.byPeer) || a.byPath[plan.PathVXLAN] != step.vxlan {
			t.Errorf("step %d: %v, %v", i, a.byPeer, a.byPath)
		}
	}
}
