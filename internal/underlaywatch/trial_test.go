// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import (
	"net"
	"net/netip"
	"testing"

	"flanneld/internal/host/underlay"
)

// Sockets of different loopback addresses stand for the host's addresses.
func TestTrialFindsWhereMembersAreReachedFrom(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.77.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	here, there := netip.MustParseAddr("127.77.0.2"), netip.MustParseAddr("127.77.0.3")
	nowhere := netip.MustParseAddr("192.0.2.77") // no address of this host
	answers, silent := listener.Addr().String(), "127.77.0.9:9"
	for name, c := range map[string]struct {
		here    netip.Addr
		others  []netip.Addr
		targets []string
		answer  bool
		reached netip.Addr
	}{
		"from here and there":       {here, []netip.Addr{there}, []string{silent, answers}, true, there},
		"from there alone":          {nowhere, []netip.Addr{there}, []string{answers}, false, there},
		"from the second":           {nowhere, []netip.Addr{nowhere, there}, []string{answers, silent}, false, there},
		"from nowhere":              {here, []netip.Addr{there}, []string{silent}, false, netip.Addr{}},
		"targets that do not exist": {here, []netip.Addr{there}, []string{"no.such.host.invalid:8286"}, false, netip.Addr{}},
	} {
		var others []underlay.Underlay
		for _, a := range c.others {
			others = append(others, underlay.Underlay{Addr: a})
		}
		got := try(c.here, others, c.targets)
		var reached netip.Addr
		if got.reached != nil {
			reached = got.reached.Addr
		}
		if got.here != c.answer || reached != c.reached {
			t.Errorf("%s: here %t, reached %v", name, got.here, reached)
		}
	}
}
