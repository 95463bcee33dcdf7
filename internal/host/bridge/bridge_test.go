// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

var network = netip.MustParsePrefix("10.244.0.0/16")

func onBridge(name string, used bool, addrs ...string) Bridge {
	b := Bridge{Name: name, Used: used}
	for _, a := range addrs {
		b.Addrs = append(b.Addrs, netip.MustParsePrefix(a))
	}
	return b
}

func TestALeaseIsInUseWhenContainersAreAttached(t *testing.T) {
	lease := netip.MustParsePrefix("10.244.7.0/24")
	for _, c := range []struct {
		name    string
		bridges []Bridge
		lease   netip.Prefix
		want    bool
	}{
		{"no bridge", nil, lease, false},
		{"docker0 without containers", []Bridge{onBridge("docker0", false, "10.244.7.1/24")}, lease, false},
		{"docker0 with containers", []Bridge{onBridge("docker0", true, "172.17.0.1/16")}, lease, true},
		{"the CNI's bridge", []Bridge{onBridge("cni0", true, "10.244.7.1/24")}, lease, true},
		{"another bridge", []Bridge{onBridge("virbr0", true, "192.168.122.1/24")}, lease, false},
		{"no lease known", []Bridge{onBridge("cni0", true, "10.244.7.1/24")}, netip.Prefix{}, false},
	} {
		if got := InUse(c.bridges, c.lease); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

func TestBridgesInTheNetworkAreOursWhenTheyHaveASubnet(t *testing.T) {
	list := []Bridge{
		onBridge("docker0", true, "10.244.7.1/24"),
		onBridge("wide", true, "10.244.0.1/16"),   // the network itself
		onBridge("other", true, "10.244.9.1/25"),  // no subnet of this network
		onBridge("far", true, "192.168.122.1/24"), // outside
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.244.7.0/24")}
	if got := Subnets(list, network, 24); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestABridgeWithAnotherSubnetIsToldOf(t *testing.T) {
	lease := netip.MustParsePrefix("10.244.7.0/24")
	if got := Stray([]Bridge{onBridge("docker0", true, "10.244.7.1/24"), onBridge("virbr0", true, "192.168.122.1/24")}, network, lease); got != "" {
		t.Errorf("got %q", got)
	}
	got := Stray([]Bridge{onBridge("docker0", true, "10.244.9.1/24")}, network, lease)
	if !strings.Contains(got, "docker0 has 10.244.9.1/24") || !strings.Contains(got, lease.String()) {
		t.Errorf("got %q", got)
	}
}
