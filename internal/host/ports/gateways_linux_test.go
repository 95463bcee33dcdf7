// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"net/netip"
	"testing"
)

func TestRoutesThatLeadToOtherHosts(t *testing.T) {
	members := []Member{
		{Addr: netip.MustParseAddr("192.0.2.10"), Self: true},
		{Addr: netip.MustParseAddr("198.51.100.7")},
	}
	near := netip.MustParsePrefix("192.0.2.0/24")
	for route, want := range map[string]bool{
		"0.0.0.0/0":       true,  // everything
		"198.51.100.0/24": true,  // a member
		"192.0.2.99/32":   true,  // a host of the underlay, perhaps a newcomer
		"192.0.2.0/24":    true,  // all hosts of the underlay
		"10.8.0.0/24":     false, // a network behind a container
		"192.0.0.0/16":    false, // wider than the underlay, without a member
	} {
		to := netip.MustParsePrefix(route)
		if got := leadsOut(to, members, near); got != want {
			t.Errorf("%s: %t, want %t", route, got, want)
		}
	}
	if leadsOut(netip.MustParsePrefix("192.0.2.99/32"), members, netip.Prefix{}) {
		t.Error("a host of an underlay with an unknown subnet")
	}
}
