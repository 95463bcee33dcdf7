// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package ports

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/host/link/linktest"
)

// A bridge with the default route leads to other hosts, and one with containers
// does not.
func TestGatewaysAreToldFromContainersBridges(t *testing.T) {
	members := []Member{
		{Addr: netip.MustParseAddr("192.0.2.10"), Data: 8285, Self: true},
		{Addr: netip.MustParseAddr("198.51.100.7"), Data: 8285},
	}
	linktest.Script(t, `
		ip link add br0 type bridge
		ip link add docker0 type bridge
		ip link add eth0 type veth peer name far0
		ip link set far0 up
		ip link add port0 type veth peer name far1
		ip link add port1 type veth peer name far2
		ip link set port0 master br0
		ip link set port1 master docker0
		ip link set port0 up
		ip link set port1 up
		ip link set far1 up
		ip link set far2 up
		ip link set br0 up
		ip link set docker0 up
		ip link set eth0 up
		ip addr add 192.0.2.10/24 dev eth0
		ip addr add 203.0.113.2/24 dev br0
		ip addr add 172.17.0.1/16 dev docker0`)
	t.Cleanup(func() {
		linktest.Script(t, "ip link delete br0\nip link delete docker0\nip link delete eth0\nip link delete port0\nip link delete port1")
	})
	expect := func(when string, want ...string) {
		t.Helper()
		if got := GatewayDevices(members, "eth0"); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	expect("no route leads out")
	linktest.Run(t, "ip route add default via 203.0.113.1")
	expect("default route", "br0")
	linktest.Run(t, "ip route replace default nexthop via 203.0.113.1 nexthop via 172.17.0.9")
	expect("two next hops", "br0", "docker0")
	linktest.Run(t, "ip route del default")
	linktest.Run(t, "ip route add 198.51.100.0/24 via 172.17.0.9")
	expect("route to a member", "docker0")
	linktest.Run(t, "ip route replace 198.51.100.0/24 dev docker0")
	expect("without a gateway")
	linktest.Run(t, "ip route del 198.51.100.0/24")
	linktest.Run(t, "ip route add 192.0.2.99/32 via 172.17.0.9")
	expect("route to a newcomer on the underlay", "docker0")
	linktest.Run(t, "ip addr del 192.0.2.10/24 dev eth0")
	expect("the underlay has lost its address") // so that its subnet is not known
	linktest.Run(t, "ip addr add 192.0.2.10/24 dev eth0")
	if got := GatewayDevices(members, "eth9"); len(got) > 0 {
		t.Errorf("an underlay that is not there: %q", got)
	}
	linktest.Run(t, "ip route del 192.0.2.99/32")
	linktest.Run(t, "ip route add 10.99.0.0/16 via 172.17.0.9")
	expect("a network behind a container")
	linktest.Script(t, "ip addr add 203.0.113.66/26 dev port0\nip route add default via 203.0.113.65 dev port0 onlink")
	expect("a port of a bridge") // what comes by it comes by the bridge
}

func TestPartKeepsTheTable(t *testing.T) {
	p, err := NewPart("flannel0", 0)
	if err != nil {
		t.Fatal(err)
	}
	missing := func() bool {
		wrong, err := p.Check(t.Context())
		return err == nil && len(wrong) == 1
	}
	if !missing() {
		t.Error("a table that was never written is not missing")
	}
	p.Want([]Member{{Addr: netip.MustParseAddr("192.0.2.10"), Data: 8285, Self: true}}, "eth0")
	for _, want := range []int{1, 0} {
		if changes, err := p.Ensure(t.Context()); err != nil || len(changes) != want {
			t.Errorf("changes %q, %v", changes, err)
		}
	}
	if !p.Created() || missing() {
		t.Error("a new table is not known as made here")
	}
	linktest.Run(t, "nft delete table ip "+TableName("flannel0"))
	if !missing() {
		t.Error("a table that was taken away is not missing")
	}
	if changes, err := p.Ensure(t.Context()); err != nil || len(changes) != 1 {
		t.Errorf("changes %q, %v", changes, err)
	}
	later, err := NewPart("flannel0", 0)
	if err != nil {
		t.Fatal(err)
	}
	if wrong, err := later.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("for another process: %q, %v", wrong, err)
	}
	for range 2 {
		if err := later.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := linktest.Run(t, "nft list tables"); strings.Contains(got, "flanneld") {
		t.Errorf("left behind: %s", got)
	}
}
