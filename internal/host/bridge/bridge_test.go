// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

var network = netip.MustParsePrefix("10.244.0.0/16")

func onBridge(name string, used bool, addrs ...string) Bridge {
	b := Bridge{Name: name}
	if used {
		b.Ports = []string{"veth0"}
	}
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
		{"a network on a part", []Bridge{onBridge("docker0", false, "10.244.7.1/25"), onBridge("br-web", true, "10.244.7.129/25")}, lease, true},
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
		onBridge("wide", true, "10.244.0.1/16"), // the network itself
		onBridge("half", true, "10.244.9.1/25"), // a part of a subnet
		onBridge("other", true, "10.244.9.129/27", "10.244.12.1/23"),
		onBridge("far", true, "192.168.122.1/24"), // outside
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.244.7.0/24"), netip.MustParsePrefix("10.244.9.0/24")}
	if got := Subnets(list, network, 24); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBridgesWithAnotherSubnetAreStray(t *testing.T) {
	lease := netip.MustParsePrefix("10.244.7.0/24")
	strays := Strays([]Bridge{
		onBridge("docker0", true, "10.244.9.1/25"), onBridge("virbr0", true, "192.168.122.1/24"), onBridge("br-web", false, "10.244.7.129/25"),
		onBridge("br-db", false, "10.244.7.65/27", "10.244.9.129/25"), onBridge("wide", true, "10.244.0.1/16"),
	}, network, lease)
	var got []string
	for _, s := range strays {
		got = append(got, s.describe(lease))
	}
	want := []string{
		"docker0 has 10.244.9.1/25, which is not in the lease 10.244.7.0/24",
		"br-db has 10.244.9.129/25, which is not in the lease 10.244.7.0/24",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A lease may be divided among several bridges; each counts.
func TestAllBridgesOfTheLeaseAreNamed(t *testing.T) {
	list := []Bridge{onBridge("docker0", true, "10.244.7.1/25"), onBridge("virbr0", true, "192.168.122.1/24"), onBridge("br-web", false, "10.244.7.129/25")}
	if got := OfLease(list, netip.MustParsePrefix("10.244.7.0/24")); !slices.Equal(got, []string{"docker0", "br-web"}) {
		t.Errorf("got %q", got)
	}
	if got := OfLease(list, netip.MustParsePrefix("10.244.8.0/24")); got != nil {
		t.Errorf("got %q", got)
	}
}
