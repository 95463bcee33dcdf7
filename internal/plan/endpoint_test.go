// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"strings"
	"testing"
)

// No datagram goes where it would loop, reach no host, or reach this node.
func TestEndpointsThatNoHostHasAreRefused(t *testing.T) {
	rules := EndpointRules{network: netip.MustParsePrefix("10.244.0.0/16"), self: netip.MustParseAddrPort("192.0.2.1:8285")}
	for text, want := range map[string]string{
		"192.0.2.2:8285": "", "192.0.2.1:8286": "", "10.245.0.1:1": "", "169.254.7.7:8285": "", "223.255.255.254:8285": "",
		"192.0.2.1:8285": "this node's own", "10.244.0.0:8285": "inside the network", "10.244.255.255:8285": "inside the network",
		"127.0.0.1:8285": "loopback", "127.255.255.254:1": "loopback", "0.0.0.0:8285": "no address of a host", "0.1.2.3:8285": "no address of a host",
		"224.0.0.1:8285": "no address of a host", "239.255.255.255:1": "no address of a host", "240.0.0.1:8285": "no address of a host",
		"255.255.255.255:8285": "no address of a host", "192.0.2.2:0": "no usable endpoint", "[2001:db8::1]:8285": "no usable endpoint",
		"[::ffff:192.0.2.2]:8285": "no usable endpoint",
	} {
		got := rules.Refuse(netip.MustParseAddrPort(text))
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if got := rules.Refuse(netip.AddrPort{}); got == "" {
		t.Error("an endpoint that was never announced is taken")
	}
	rules.loopback = true
	if got := rules.Refuse(netip.MustParseAddrPort("127.0.0.2:8285")); got != "" {
		t.Errorf("on a loopback underlay: %q", got)
	}
}
