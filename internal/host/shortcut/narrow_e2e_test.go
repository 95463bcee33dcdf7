// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

// A router between the hosts, with a narrower link behind it.
const narrowTopology = `
	ip netns add r
	ip -n r link set lo up
	ip netns exec r sysctl -qw net.ipv4.ip_forward=1
	ip -n h1 link add eth0 type veth peer name eth1 netns r
	ip -n h2 link add eth0 type veth peer name eth2 netns r
	ip -n h1 address add 192.0.2.1/32 dev eth0
	ip -n h2 address add 192.0.2.2/32 dev eth0
	ip -n r address add 192.0.2.254/32 dev eth1
	ip -n h1 link set eth0 up
	ip -n h2 link set eth0 mtu 1400 up
	ip -n r link set eth1 up
	ip -n r link set eth2 mtu 1400 up
	ip -n r route add 192.0.2.1 dev eth1
	ip -n r route add 192.0.2.2 dev eth2
	ip -n h1 route add 192.0.2.254 dev eth0
	ip -n h2 route add 192.0.2.254 dev eth0
	ip -n h1 route add 192.0.2.2 via 192.0.2.254
	ip -n h2 route add 192.0.2.1 via 192.0.2.254
`

// A router's answer about a datagram that is too long reaches the kernel's
// memory of paths, though no socket has sent the datagram. From then on long
// packets are left to user space, which answers the container.
func TestNarrowPathsAreLearned(t *testing.T) {
	hosts := hostsOn(t, func() {
		t.Cleanup(func() { linktest.Try("ip netns delete r") })
		linktest.Script(t, narrowTopology)
	})
	linktest.Listen(t, "h1", "udp4", "192.0.2.1:8285") // user space's
	left := func() uint64 { return leftBy(hosts[0], egress, "path") }
	ping(t, "c1", "10.244.2.2")
	if n := left(); n > 0 {
		t.Fatalf("%d short packets were left to user space", n)
	}
	linktest.Try("ip netns exec c1 ping -q -n -c 1 -W 0.2 -M do -s 1400 10.244.2.2")
	if n := left(); n > 0 {
		t.Fatalf("%d packets were left before the path was known", n)
	}
	learned := ""
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !strings.Contains(learned, "mtu 1400"); {
		learned = linktest.Run(t, "ip -n h1 route get 192.0.2.2")
	}
	if !strings.Contains(learned, "mtu 1400") {
		t.Fatalf("the path's MTU was not learned: %s", learned)
	}
	linktest.Try("ip netns exec c1 ping -q -n -c 1 -W 0.2 -M do -s 1400 10.244.2.2")
	if n := left(); n != 1 {
		t.Errorf("%d long packets were left to user space, want 1", n)
	}
	ping(t, "c1", "10.244.2.2")
}
