// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAddressesOfABridgeAreFound(t *testing.T) {
	b := onBridge("docker0", false, "172.17.0.1/16", "10.244.7.1/24")
	if !b.Carries(netip.MustParseAddr("10.244.7.1")) || b.Carries(netip.MustParseAddr("10.244.7.2")) {
		t.Error("a bridge carries its own addresses only")
	}
	if !b.In(netip.MustParsePrefix("10.244.7.0/24")) || b.In(netip.MustParsePrefix("10.244.8.0/24")) || (Bridge{}).In(network) {
		t.Error("a bridge is in the prefixes of its addresses")
	}
}

func TestAdviceNamesTheToolOfABridge(t *testing.T) {
	for name, want := range map[string]string{
		"docker0": "systemctl restart docker", "br-1a2b": "docker network rm 1a2b", "cni0": "dev cni0",
	} {
		got := Bridge{Name: name}.MoveAway(network)
		if !strings.Contains(got, want) || name != "docker0" && !strings.Contains(got, network.String()) {
			t.Errorf("%s: %q", name, got)
		}
	}
}
