// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package kernelpath

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

// farHost puts another host with 192.168.7.9 on the segment.
func farHost(t *testing.T) {
	t.Helper()
	linktest.Script(t, `
		ip netns add far
		ip link set eth1 netns far
		ip -n far link set eth1 address 02:00:00:00:00:99 up
		ip -n far addr add 192.168.7.9/24 dev eth1`)
	t.Cleanup(func() { linktest.Try("ip netns del far") })
}

// follow starts a part that answers Near.
func follow(t *testing.T) *Part {
	t.Helper()
	p := NewPart("flannel0")
	c := testConfig()
	p.Want(&c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		p.Follow(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return p
}

// until waits for an answer of Near; why is a part of its words, "" for a MAC
// address.
func until(t *testing.T, p *Part, endpoint, mac, why string) {
	t.Helper()
	deadline := time.Now().Add(8 * time.Second * patience())
	for {
		device, got, words := p.Near(netip.MustParseAddr(endpoint))
		switch {
		case why == "" && words == "" && device == "eth0" && got.String() == mac,
			why != "" && strings.Contains(words, why) && got == nil && device == "":
			return
		case time.Now().After(deadline):
			t.Fatalf("%s is near by %q, %s, %q", endpoint, device, got, words)
		}
		select {
		case <-p.Changed():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func TestNearFollowsNeighborsAndRoutes(t *testing.T) {
	linktest.Underlay(t)
	farHost(t)
	p := follow(t)
	if _, mac, why := p.Near(netip.MustParseAddr("192.168.7.9")); mac != nil || why != "" {
		t.Errorf("at once: %q", why)
	}
	until(t, p, "192.168.7.9", "02:00:00:00:00:99", "") // nothing had sent to it: it was asked for
	until(t, p, "192.168.7.2", "", "an address of this host")
	until(t, p, "203.0.113.1", "", "behind the router 192.168.7.254")
	until(t, p, "127.0.0.9", "", "an address of this host")
	until(t, p, "192.168.7.77", "", "does not answer")

	linktest.Script(t, "ip -n far link set eth1 address 02:00:00:00:00:aa\nip neigh del 192.168.7.9 dev eth0")
	until(t, p, "192.168.7.9", "02:00:00:00:00:aa", "")
	linktest.Run(t, "ip -n far link set eth1 down") // the kernel forgets the neighbor
	until(t, p, "192.168.7.9", "", "does not answer")
	linktest.Run(t, "ip -n far link set eth1 up")
	until(t, p, "192.168.7.9", "02:00:00:00:00:aa", "")
	linktest.Run(t, "ip neigh replace 192.168.7.77 lladdr 02:00:00:00:00:aa dev eth0")
	until(t, p, "192.168.7.77", "", "MAC address 02:00:00:00:00:aa of 192.168.7.9")
	linktest.Run(t, "ip route add 192.168.7.9/32 via 192.168.7.250")
	until(t, p, "192.168.7.9", "", "behind the router 192.168.7.250")
	linktest.Run(t, "ip route add unreachable 203.0.113.0/24")
	until(t, p, "203.0.113.1", "", "no route to")
	linktest.Script(t, "ip route del unreachable 203.0.113.0/24\nip link add br7 type bridge\nip link set br7 up\nip route add 203.0.113.0/24 dev br7")
	t.Cleanup(func() { linktest.Try("ip link delete br7") })
	until(t, p, "203.0.113.1", "", "reached by br7, and not by eth0")
	linktest.Run(t, "ip link set eth0 arp off")
	linktest.Run(t, "ip route del 192.168.7.9/32 via 192.168.7.250")
	until(t, p, "192.168.7.9", "", "no device with broadcasts")
}

// Neighbors that change their state and nothing else wake nothing.
func TestNeighborsInUseAreNoNews(t *testing.T) {
	linktest.Underlay(t)
	farHost(t)
	p := follow(t)
	until(t, p, "192.168.7.9", "02:00:00:00:00:99", "")
	seen := func(mac byte, valid bool) bool {
		return p.follower.news(netip.MustParseAddr("192.168.7.9"), station{mac: hwaddr{2, 0, 0, 0, 0, mac}, valid: valid})
	}
	if seen(0x99, true) || !seen(0x98, true) || !seen(0x99, false) {
		t.Error("news are judged wrong")
	}
	if p.follower.news(netip.MustParseAddr("192.168.7.10"), station{}) {
		t.Error("another neighbor is news")
	}
}

func TestWatchReportsWhatEnsureLooksAt(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	farHost(t)
	p := started(t, testConfig(), testPeer(8, Vxlan))
	changes, err := p.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	settle := func(quiet time.Duration) {
		for {
			select {
			case <-changes:
			case <-time.After(quiet):
				return
			}
		}
	}
	expect := func(line string, want bool) {
		t.Helper()
		linktest.Run(t, line)
		select {
		case <-changes:
			if !want {
				t.Errorf("%s is reported", line)
			}
		case <-time.After(300 * time.Millisecond):
			if want {
				t.Errorf("%s is not reported", line)
			}
		}
		settle(50 * time.Millisecond)
	}
	settle(time.Second) // new devices report their carrier late
	expect("ip neigh add 192.168.7.50 lladdr 02:00:00:00:00:50 dev eth0", false)
	expect("ip neigh del 10.244.8.0 dev flannel.1", true)
	expect("bridge fdb del 02:00:00:00:00:08 dev flannel.1", true)
	expect("ip route del 10.244.8.0/24", true)
	expect("ip link set flannel.1 mtu 1300", true)
	expect("bridge fdb add 02:00:00:00:00:08 dst 192.168.7.8 dev flannel.1", true)
	expect("bridge fdb replace 02:00:00:00:00:08 dst 192.168.7.8 vni 9 dev flannel.1", true)
	expect("ip link set flannel.1 type vxlan id 1 df set", true)
	expect("ip link set flannel.1 type vxlan id 1 learning", true)
	expect("sysctl -qw net.ipv4.conf.eth0.rp_filter=1", true)
	expect("sysctl -qw net.ipv4.conf.eth0.rp_filter=0", true)
}
