// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package ports

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
	"flanneld/internal/host/nft"
)

// The test's own namespace is a host that is also the router of a member:
//
//	container 172.17.0.2 -- docker0 172.17.0.1 [host] eth0 192.0.2.10 -- member 192.0.2.20, 192.0.2.30
//	                                           [host] vm0 198.51.100.1 -- routed 198.51.100.2
const topology = `
	ip netns add container
	ip netns add member
	ip netns add routed
	sysctl -qw net.ipv4.ip_forward=1
	sysctl -qw net.ipv4.conf.all.rp_filter=0
	sysctl -qw net.ipv4.conf.default.rp_filter=0

	ip link add eth0 type veth peer name eth0 netns member
	ip addr add 192.0.2.10/24 dev eth0
	ip link set eth0 up
	ip -n member link set eth0 up
	ip -n member addr add 192.0.2.20/24 dev eth0
	ip -n member addr add 192.0.2.30/24 dev eth0
	ip -n member route add default via 192.0.2.10

	ip link add vm0 type veth peer name eth0 netns routed
	ip addr add 198.51.100.1/24 dev vm0
	ip link set vm0 up
	ip -n routed link set eth0 up
	ip -n routed addr add 198.51.100.2/24 dev eth0
	ip -n routed route add default via 198.51.100.1

	ip link add docker0 type bridge
	ip addr add 172.17.0.1/16 dev docker0
	ip link set docker0 up
	ip link add veth0 type veth peer name eth0 netns container
	ip link set veth0 master docker0
	ip link set veth0 up
	ip -n container link set lo up
	ip -n container link set eth0 up
	ip -n container addr add 172.17.0.2/16 dev eth0
	ip -n container addr add 198.51.100.2/32 dev lo
	ip -n container route add default via 172.17.0.1
`

// teardown deletes the devices first: with their namespaces they would go
// only some time later.
var teardown = []string{
	"ip link delete veth0", "ip link delete vm0", "ip link delete eth0", "ip link delete docker0",
	"ip netns delete container", "ip netns delete member", "ip netns delete routed",
}

// Addresses of the hosts.
const (
	self      = "192.0.2.10"
	near      = "192.0.2.20" // a member of the underlay
	outsider  = "192.0.2.30" // a host of the underlay that is no member
	behind    = "198.51.100.2"
	container = "172.17.0.2"
)

// A container reaches no member's ports, whatever source it forges. A member is
// reached also through a host that is its router.
func TestTableLetsMembersPass(t *testing.T) {
	linktest.Teardown(t, teardown...)
	linktest.Script(t, topology)
	where := map[string]string{self: "", near: "member", outsider: "member", behind: "routed", container: "container"}
	c := Config{Underlay: []string{"eth0"}, Members: []Member{
		{Addr: netip.MustParseAddr(self), Data: 8285, Gossip: 8286, Self: true},
		{Addr: netip.MustParseAddr(near), Data: 8285, Gossip: 8286},
		{Addr: netip.MustParseAddr(behind), Data: 8285, Gossip: 8286},
	}}
	for name, best := range map[string]nft.SourceCheck{"in any hook": nft.InAnyHook, "in prerouting": nft.InPrerouting, "nowhere": nft.Nowhere} {
		t.Run(name, func(t *testing.T) {
			table := newTable(t)
			table.kept.Limit(best)
			ensure(t, table, c, 1)
			routes := table.kept.SourceCheck() != nft.Nowhere // what members behind this host depend on
			for _, p := range []struct {
				in, source, to, port string
				passes               bool
			}{
				{container, container, self, "5300", true},
				{container, container, near, "5300", true},
				{near, near, self, "8285", true},
				{near, near, self, "8286", true},
				{near, near, behind, "8285", routes},
				{near, near, behind, "8286", true},
				{behind, behind, near, "8285", routes},
				{behind, behind, near, "8286", routes},
				{behind, behind, self, "8285", routes},
				{behind, behind, self, "8286", routes},
				{near, outsider, self, "8286", true},
				{near, outsider, behind, "8285", false},
				{near, outsider, behind, "8286", true},
				{self, self, self, "8285", true},
				{self, self, near, "8285", true},
				{self, self, behind, "8286", true},
				{container, container, self, "8285", false},
				{container, container, self, "8286", false},
				{container, container, near, "8285", false},
				{container, container, near, "8286", false},
				{container, behind, self, "8285", false},
				{container, behind, self, "8286", false},
				{container, behind, near, "8285", false},
				{container, behind, near, "8286", false},
			} {
				if got := arrives(t, where[p.in], p.source, where[p.to], p.to+":"+p.port, p.passes); got != p.passes {
					t.Errorf("from %s in %q to %s, port %s: passes %t, want %t\n%s", p.source, where[p.in], p.to, p.port, got, p.passes,
						linktest.Run(t, "nft list table ip flanneld-flannel0"))
				}
			}
		})
	}
}

// arrives sends a datagram from one namespace to another, and reports whether
// it comes. The wait is short where it is not expected.
func arrives(t *testing.T, from, source, to, dst string, expected bool) bool {
	t.Helper()
	server, client := linktest.Listen(t, to, "udp4", dst), linktest.Listen(t, from, "udp4", source+":0")
	defer server.Close()
	defer client.Close()
	if _, err := client.WriteTo([]byte("hello"), server.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	wait := 200 * time.Millisecond
	if expected {
		wait = 5 * time.Second
	}
	server.SetReadDeadline(time.Now().Add(wait))
	_, _, err := server.ReadFrom(make([]byte, 16))
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return err == nil
}
