// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package underlay

import (
	"net/netip"
	"strings"
	"testing"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// plug makes two devices with a carrier, which the test takes away again.
func plug(t *testing.T) {
	t.Helper()
	linktest.Script(t, `
		ip link add eth0 type veth peer name far0
		ip link add eth1 mtu 9000 type veth peer name far1
		ip link set far0 up
		ip link set far1 up
		ip link set eth0 up
		ip link set eth1 up
		ip addr add 10.0.2.15/24 dev eth0
		ip addr add 192.168.56.10/24 dev eth1
		ip addr add 192.168.56.11/24 dev eth1`)
	t.Cleanup(func() { linktest.Script(t, "ip link delete eth0\nip link delete eth1") })
}

func TestKernelsViewOfTheHost(t *testing.T) {
	plug(t)
	if _, err := Choose(Options{}); err == nil || !strings.Contains(err.Error(), "eth1 (192.168.56.10 192.168.56.11)") {
		t.Errorf("without a default route: %v", err)
	}
	linktest.Script(t, `
		ip route add default via 10.0.2.2 metric 100
		ip route add default via 192.168.56.1 metric 200 src 192.168.56.11
		ip route add 198.51.100.0/24 via 192.168.56.1 src 192.168.56.11`)
	for want, o := range map[string]Options{
		"eth0 10.0.2.15":                            {},
		"eth1 192.168.56.10":                        {Iface: []string{"eth1"}},
		"eth1 192.168.56.11":                        {CanReach: netip.MustParseAddr("198.51.100.7")},
		"lo 127.0.0.1":                              {Iface: []string{"lo"}},
		"eth0 10.0.2.15, announced as 203.0.113.9":  {PublicIP: netip.MustParseAddr("203.0.113.9")},
		"eth1 192.168.56.10, announced as 10.9.9.9": {IfaceRegex: []string{"th1$"}, PublicIP: netip.MustParseAddr("10.9.9.9")},
	} {
		if u, err := Choose(o); err != nil || u.String() != want {
			t.Errorf("%+v: got %v, %v, want %s", o, u, err, want)
		}
	}
	if u, err := Choose(Options{Iface: []string{"eth1"}}); err != nil || u.MTU != 9000 {
		t.Errorf("got %+v, %v", u, err)
	}
	linktest.Run(t, "ip route flush 0/0")
	linktest.Run(t, "ip route add default nexthop via 10.0.2.2 nexthop via 192.168.56.1")
	if u, err := Choose(Options{}); err != nil || u.Interface != "eth0" {
		t.Errorf("route of several next hops: %v, %v", u, err)
	}
	if _, err := Choose(Options{CanReach: netip.MustParseAddr("10.0.2.15")}); err == nil || !strings.Contains(err.Error(), "this host itself") {
		t.Errorf("reach this host: %v", err)
	}
	linktest.Run(t, "ip route add unreachable 203.0.113.0/24")
	t.Cleanup(func() { linktest.Run(t, "ip route del unreachable 203.0.113.0/24") })
	if _, err := Choose(Options{CanReach: netip.MustParseAddr("203.0.113.1")}); err == nil {
		t.Error("reached the unreachable")
	}
}

func TestOverlapIsSeenOnTheRealHost(t *testing.T) {
	plug(t)
	network := netip.MustParsePrefix("10.244.0.0/16")
	expect := func(says string) {
		t.Helper()
		found, err := Overlaps(network, "flannel0")
		if err != nil || says == "" && len(found) > 0 || says != "" && (len(found) == 0 || !strings.Contains(found[0].What, says) || found[0].Shadowed) {
			t.Errorf("got %+v, %v, want %q", found, err, says)
		}
	}
	expect("")
	linktest.Run(t, "ip route add 10.244.3.0/24 via 10.0.2.2")
	expect("10.244.3.0/24 (eth0)")
	linktest.Run(t, "ip route del 10.244.3.0/24")
	linktest.Run(t, "ip route add unreachable 10.0.0.0/8")
	expect("")
	linktest.Run(t, "ip route del unreachable 10.0.0.0/8")

	// A daemon was here: its device, and the bridge of its containers.
	linktest.Script(t, `
		ip tuntap add dev flannel0 mode tun
		ip addr add 10.244.7.0/32 dev flannel0
		ip link set flannel0 up
		ip route add 10.244.0.0/16 dev flannel0
		ip link add docker0 type bridge
		ip link set docker0 up
		ip addr add 10.244.7.1/24 dev docker0`)
	t.Cleanup(func() { linktest.Script(t, "ip link delete flannel0\nip link delete docker0") })
	expect("")

	// Its kernel paths are the overlay's, too.
	linktest.Script(t, `
		ip link add flannel.1 type vxlan id 1 dstport 8472
		ip link set flannel.1 alias flanneld up
		ip addr add 10.244.7.0/32 dev flannel.1
		ip route add 10.244.30.0/24 via 10.244.30.0 dev flannel.1 onlink proto 85
		ip route add 10.244.31.0/24 via 10.0.2.2 dev eth0 onlink proto 85`)
	t.Cleanup(func() { linktest.Script(t, "ip link delete flannel.1\nip route flush proto 85") })
	expect("")
	linktest.Run(t, "ip addr add 10.244.8.1/24 dev docker0")
	expect("docker0")
	if found, err := Overlaps(network, "flannel0", netip.MustParsePrefix("10.244.8.0/24")); err != nil || len(found) > 0 {
		t.Errorf("lease known to the caller: %+v, %v", found, err)
	}
	linktest.Run(t, "ip route add 10.0.0.0/8 via 10.0.2.2")
	if found, err := Overlaps(network, "flannel0", netip.MustParsePrefix("10.244.8.0/24")); err != nil || len(found) != 1 || !found[0].Shadowed {
		t.Errorf("wider route through a router: %+v, %v", found, err)
	}
}
