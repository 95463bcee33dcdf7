// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package identity

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
	"flanneld/internal/host/pathrules"
)

// Whatever is taken away, added or changed comes back, in the words of the nft
// command.
func TestTableIsPutBack(t *testing.T) {
	linktest.Teardown(t, "nft flush ruleset")
	p := newPart(t, withPaths())
	ensure(t, p, 1)
	const list = "nft list table ip flanneld-identity-flannel0"
	before := linktest.Run(t, list)
	for _, want := range []string{
		"type nat hook postrouting priority srcnat - 10", "ip saddr 10.244.7.0/24 ip daddr 10.244.0.0/16 ip daddr != 10.244.7.0/24 snat to ip saddr",
		"ip daddr 10.244.7.0/24 ip saddr 10.244.0.0/16 ip saddr != 10.244.7.0/24 snat to ip saddr",
		"masquerade fully-random", "snat to 10.244.7.0 fully-random",
	} {
		if !strings.Contains(before, want) {
			t.Errorf("no %q in\n%s", want, before)
		}
	}
	for _, damage := range []string{
		"nft flush ruleset",
		"nft delete table ip flanneld-identity-flannel0",
		"nft flush chain ip flanneld-identity-flannel0 postrouting",
		"nft insert rule ip flanneld-identity-flannel0 postrouting masquerade",
		"nft add element ip flanneld-identity-flannel0 overlay-devices { evil0 }",
		"nft add chain ip flanneld-identity-flannel0 more { type nat hook postrouting priority 50 ; }",
	} {
		linktest.Run(t, damage)
		if wrong, err := p.Check(t.Context()); err != nil || len(wrong) == 0 {
			t.Errorf("Check sees nothing of %q: %v", damage, err)
		}
		ensure(t, p, 1)
		if after := linktest.Run(t, list); after != before {
			t.Errorf("after %q:\n%s", damage, after)
		}
	}
	// A chain of that name that only filters is none.
	linktest.Script(t, `
		nft delete table ip flanneld-identity-flannel0
		nft add table ip flanneld-identity-flannel0
		nft add chain ip flanneld-identity-flannel0 postrouting { type filter hook postrouting priority 90 ; }`)
	ensure(t, p, 1)
	if after := linktest.Run(t, list); after != before {
		t.Errorf("a chain that filters was kept:\n%s", after)
	}
}

// Another lease is taken over in place; two devices have a table each; a
// process that wrote nothing finds and removes the table.
func TestTablesOfSeveralDevicesAndProcesses(t *testing.T) {
	linktest.Teardown(t, "nft flush ruleset")
	p := newPart(t, testConfig())
	ensure(t, p, 1)
	c := testConfig()
	c.Lease = netip.MustParsePrefix("10.244.9.0/24")
	p.Want(&c)
	if p.InPlace() {
		t.Error("another lease is in place before it was ensured")
	}
	ensure(t, p, 0)
	second := Config{Network: netip.MustParsePrefix("10.99.0.0/16"), Lease: netip.MustParsePrefix("10.99.1.0/24"), Device: "flannel1"}
	ensure(t, newPart(t, second), 1)
	later := NewPart("flannel0")
	if got := later.Present(); len(got) != 1 || got[0] != "table ip flanneld-identity-flannel0" {
		t.Errorf("present %q", got)
	}
	if rules := linktest.Run(t, "nft list ruleset"); strings.Contains(rules, "10.244.7.") || !strings.Contains(rules, "10.244.9.") {
		t.Errorf("the older lease is still there:\n%s", rules)
	}
	for range 2 {
		if err := later.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := later.Present(); len(got) != 0 {
		t.Errorf("present after the removal: %q", got)
	}
	if tables := linktest.Run(t, "nft list tables"); tables != "table ip flanneld-identity-flannel1\n" {
		t.Errorf("left %q", tables)
	}
}

// The mark is there once dockerd has made its table, and stays when that goes
// for a moment: on what comes by the overlay, and on what a member sent
// directly.
func TestDockerWithNFTablesGetsAMark(t *testing.T) {
	hosts(t)
	linktest.Script(t, `
		nft add table ip seen
		nft add chain ip seen pre { type filter hook prerouting priority raw ; }
		nft add rule ip seen pre ip daddr 10.244.7.2 meta mark and 0x10000000 == 0x10000000 counter`)
	marked := func() bool {
		t.Helper()
		text := linktest.Run(t, "nft list chain ip seen pre")
		linktest.Script(t, `
			nft flush chain ip seen pre
			nft add rule ip seen pre ip daddr 10.244.7.2 meta mark and 0x10000000 == 0x10000000 counter`)
		return !strings.Contains(text, "packets 0 ")
	}
	p := newPart(t, withPaths())
	ensure(t, p, 1)
	arrive := func(ns, from string) bool {
		t.Helper()
		send(t, ns, from, "container", "10.244.7.2:53")
		return marked()
	}
	if arrive("remote", "10.244.9.2") {
		t.Error("packets are marked without need")
	}
	linktest.Run(t, "nft add table ip docker-bridges")
	for _, state := range []string{"there", "gone for a moment"} {
		ensure(t, p, 0)
		for _, peer := range peers[:2] {
			if !arrive(peer.ns, peer.addr) {
				t.Errorf("Docker's table %s: no mark by %s", state, peer.device)
			}
		}
		if arrive("outside", "192.0.2.9") || arrive("outside", "10.244.5.2") {
			t.Errorf("Docker's table %s: a mark for what was not checked", state)
		}
		linktest.Try("nft delete table ip docker-bridges")
	}
	checks := pathrules.NewPart("flannel0", 0)
	linktest.Run(t, "ip -n outside link set eth0 address 02:00:00:00:00:09")
	checks.Want(&pathrules.Config{
		Network: netip.MustParsePrefix("10.244.0.0/16"), Local: netip.MustParseAddr("192.0.2.1"), Underlay: "eth0", Direct: true,
	})
	checks.SetPeers([]pathrules.Peer{{
		Prefix: netip.MustParsePrefix("10.244.5.0/24"), Endpoint: netip.MustParseAddr("192.0.2.9"), MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}, Direct: true,
	}})
	if _, err := checks.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := checks.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if !arrive("outside", "10.244.5.2") {
		t.Error("no mark for what a member sent directly")
	}
}

// Docker 29's own rules, as they were recorded, let pass what is marked, drop
// what is not, and masquerade nothing that stays in the overlay.
func TestDocker29LetsTheOverlayPassAndNothingElse(t *testing.T) {
	hosts(t)
	linktest.Run(t, "nft -f testdata/docker29.nft")
	if nothing := received(t, "remote", "10.244.9.2"); nothing.IsValid() {
		t.Fatal("Docker's rules do not stand in the way: this test shows nothing")
	}
	ensure(t, newPart(t, testConfig()), 1)
	if got := received(t, "remote", "10.244.9.2"); got != netip.MustParseAddr("10.244.9.2") {
		t.Errorf("from the overlay: %v", got)
	}
	if got := received(t, "outside", "192.0.2.9"); got.IsValid() {
		t.Errorf("from outside: %v", got)
	}
	if got := send(t, "container", "", "remote", "10.244.9.2:53").Addr(); got != container {
		t.Errorf("to the overlay: %v", got)
	}
	if got := send(t, "container", "", "outside", "192.0.2.9:53").Addr(); got != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("to the outside: %v, Docker masquerades", got)
	}
}

// received sends a datagram to the container and returns the source that it
// arrives with, zero if it does not arrive.
func received(t *testing.T, ns, from string) netip.Addr {
	t.Helper()
	server, client := linktest.Listen(t, "container", "udp4", ":53"), linktest.Listen(t, ns, "udp4", from+":0")
	defer server.Close()
	defer client.Close()
	if _, err := client.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.244.7.2:53"))); err != nil {
		t.Fatal(err)
	}
	server.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	_, src, err := server.ReadFrom(make([]byte, 16))
	if err != nil {
		return netip.Addr{}
	}
	return netip.MustParseAddrPort(src.String()).Addr()
}

// A bridge is left alone from the moment that it gets a port to other hosts.
func TestBridgesThatLeadToOtherHostsAreKnown(t *testing.T) {
	linktest.Teardown(t, "nft flush ruleset", "ip link delete br-lan", "ip link delete tunnel7")
	linktest.Script(t, `
		ip link add br-lan type bridge
		ip link add tunnel7 type vxlan id 7 dstport 4799`)
	c := testConfig()
	c.Underlay = "eth0"
	p := newPart(t, c)
	ensure(t, p, 1)
	const list = "nft list set ip flanneld-identity-flannel0 outside"
	if set := linktest.Run(t, list); strings.Contains(set, "br-lan") || !strings.Contains(set, "eth0") {
		t.Errorf("before:\n%s", set)
	}
	linktest.Run(t, "ip link set tunnel7 master br-lan")
	p.LinksChanged()
	if _, err := p.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if set := linktest.Run(t, list); !strings.Contains(set, "br-lan") || !strings.Contains(set, "eth0") {
		t.Errorf("after:\n%s", set)
	}
}
