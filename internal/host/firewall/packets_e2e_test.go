// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package firewall

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

// The host is the test's own namespace; a pair of devices stands in for the
// overlay, since rules see nothing of a device but its name. It is there before
// docker0: kernels before 5.14 answer no ARP for an address that an earlier
// device has for broadcasts.
//
//	container 10.244.7.2 -- docker0 10.244.7.1 [host] flannel0 10.244.7.0 -- remote 10.244.9.2
//	                                              eth0 192.0.2.1 -- outside 192.0.2.9, which knows no way back to 10.244.0.0/16
const topology = `
	ip netns add container
	ip netns add remote
	ip netns add outside
	sysctl -qw net.ipv4.ip_forward=1

	ip link add flannel0 type veth peer name eth0 netns remote
	ip addr add 10.244.7.0/32 dev flannel0
	ip link set flannel0 up
	ip route add 10.244.0.0/16 dev flannel0

	ip link add docker0 type bridge
	ip addr add 10.244.7.1/24 dev docker0
	ip link set docker0 up
	ip link add veth0 type veth peer name eth0 netns container
	ip link set veth0 master docker0
	bridge link set dev veth0 hairpin on
	ip link set veth0 up
	ip -n container addr add 10.244.7.2/24 dev eth0
	ip -n container link set eth0 up
	ip -n container link set lo up
	ip -n container route add default via 10.244.7.1

	ip -n remote addr add 10.244.9.2/32 dev eth0
	ip -n remote link set eth0 up
	ip -n remote route add 10.244.7.0/32 dev eth0
	ip -n remote route add 10.244.7.0/24 via 10.244.7.0

	ip link add eth0 type veth peer name eth0 netns outside
	ip addr add 192.0.2.1/24 dev eth0
	ip link set eth0 up
	ip -n outside addr add 192.0.2.9/24 dev eth0
	ip -n outside link set eth0 up
`

// teardown deletes the devices first: with their namespaces they would go
// only some time later.
var teardown = []string{
	"ip link delete veth0", "ip link delete flannel0", "ip link delete eth0", "ip link delete docker0",
	"ip netns delete container", "ip netns delete remote", "ip netns delete outside",
}

func hosts(t *testing.T) {
	t.Helper()
	linktest.Teardown(t, teardown...)
	linktest.Script(t, topology)
}

// How long a packet may take on its way through namespaces of one machine,
// where it arrives and where it must not.
const (
	arrives   = 5 * time.Second
	mustNotBy = 300 * time.Millisecond
)

// send sends one datagram between namespaces and returns the source address
// it arrives with; zero when it does not arrive in time.
func send(t *testing.T, from, bind, to, dst string, listenPort string, wait time.Duration) netip.Addr {
	t.Helper()
	server, client := linktest.Listen(t, to, "udp4", ":"+listenPort), linktest.Listen(t, from, "udp4", bind+":0")
	defer server.Close()
	defer client.Close()
	if _, err := client.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(dst))); err != nil {
		t.Fatal(err)
	}
	server.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 16)
	_, src, err := server.ReadFrom(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return netip.Addr{}
	} else if err != nil {
		t.Fatal(err)
	}
	return src.(*net.UDPAddr).AddrPort().Addr().Unmap()
}

func TestDocker28LetsTheOverlayPassAndNothingElse(t *testing.T) {
	backends(t, func(t *testing.T) {
		hosts(t)
		linktest.Script(t, docker28)
		linktest.Run(t, "ip -n outside route add 10.244.0.0/16 via 192.0.2.1")
		toContainer := func(from string, wait time.Duration) netip.Addr {
			t.Helper()
			return send(t, from, "", "container", "10.244.7.2:53", "53", wait)
		}
		if toContainer("remote", mustNotBy).IsValid() {
			t.Fatal("Docker's rules do not stand in the way: this test shows nothing")
		}
		f := newFirewall(t, testConfig("flannel0"))
		ensure(t, f)
		if src := toContainer("remote", arrives); src != netip.MustParseAddr("10.244.9.2") {
			t.Errorf("from a remote container: source %v", src)
		}
		if src := send(t, "container", "", "remote", "10.244.9.2:53", "53", arrives); src != netip.MustParseAddr("10.244.7.2") {
			t.Errorf("to a remote container: source %v, Docker masquerades it", src)
		}
		if src := toContainer("outside", mustNotBy); src.IsValid() {
			t.Errorf("a packet from outside reached the container, from %v", src)
		}
		linktest.Run(t, "ip -n outside addr add 10.244.9.3/32 dev lo")
		if src := send(t, "outside", "10.244.9.3", "container", "10.244.7.2:53", "53", mustNotBy); src.IsValid() {
			t.Errorf("a packet from outside with an overlay source reached the container")
		}
		if err := Remove(t.Context(), "flannel0"); err != nil {
			t.Fatal(err)
		}
		if toContainer("remote", mustNotBy).IsValid() {
			t.Error("packets pass after the rules were removed")
		}
	})
}

func TestSourceAddressIsKeptInsideAndMasqueradedOutside(t *testing.T) {
	backends(t, func(t *testing.T) {
		hosts(t)
		container, host := netip.MustParseAddr("10.244.7.2"), netip.MustParseAddr("192.0.2.1")
		outward := func() netip.Addr {
			t.Helper()
			return send(t, "container", "", "outside", "192.0.2.9:53", "53", arrives)
		}
		inside := func() netip.Addr {
			t.Helper()
			return send(t, "container", "", "remote", "10.244.9.2:53", "53", arrives)
		}
		ensure(t, newFirewall(t, testConfig("flannel0")))
		if src := outward(); src != container {
			t.Errorf("outside saw %v, masqueraded without being asked", src)
		}
		c := testConfig("flannel0")
		c.Masquerade = true
		ensure(t, newFirewall(t, c))
		if src := outward(); src != host {
			t.Errorf("outside saw %v, want the host's %v", src, host)
		}
		if src := inside(); src != container {
			t.Errorf("a remote container saw %v, want %v", src, container)
		}
		if src := send(t, "", "192.0.2.1", "remote", "10.244.9.2:53", "53", arrives); src != netip.MustParseAddr("10.244.7.0") {
			t.Errorf("a remote container saw the host as %v", src)
		}
	})
}

func TestContainerReachesItsOwnPublishedPort(t *testing.T) {
	backends(t, func(t *testing.T) {
		hosts(t)
		linktest.Script(t, docker28+`
			iptables -t nat -A PREROUTING -d 192.0.2.1/32 -p udp --dport 5300 -j DNAT --to-destination 10.244.7.2:53
			iptables -t nat -A POSTROUTING -s 10.244.7.2/32 -d 10.244.7.2/32 -p udp --dport 53 -j MASQUERADE
			iptables -I DOCKER -d 10.244.7.2/32 -o docker0 -p udp --dport 53 -j ACCEPT`)
		ensure(t, newFirewall(t, testConfig("flannel0")))
		if src := send(t, "container", "", "container", "192.0.2.1:5300", "53", arrives); src != netip.MustParseAddr("10.244.7.1") {
			t.Errorf("it saw itself as %v, want the bridge's address", src)
		}
		if src := send(t, "outside", "", "container", "192.0.2.1:5300", "53", arrives); src != netip.MustParseAddr("192.0.2.9") {
			t.Errorf("published port: outside came as %v", src)
		}
		// The overlay may use the published port of the bridge's address, too.
		linktest.Run(t, "iptables -t nat -A PREROUTING -d 10.244.7.1/32 -p udp --dport 5300 -j DNAT --to-destination 10.244.7.2:53")
		if src := send(t, "remote", "", "container", "10.244.7.1:5300", "53", arrives); src != netip.MustParseAddr("10.244.9.2") {
			t.Errorf("published port: a remote container came as %v", src)
		}
	})
}

// Without nf_tables for it, NETMAP binds connections against a chain that comes
// later, and ACCEPT keeps their source in iptables' own chain.
func TestSourceIsKeptByIPTables(t *testing.T) {
	backends(t, func(t *testing.T) {
		hosts(t)
		linktest.Run(t, "iptables -t nat -A POSTROUTING -j MASQUERADE")
		source := func() netip.Addr {
			t.Helper()
			return send(t, "container", "", "remote", "10.244.9.2:53", "53", arrives)
		}
		container := netip.MustParseAddr("10.244.7.2")
		ensure(t, newFirewall(t, testConfig("flannel0")))
		linktest.Script(t, `
			nft add table ip later
			nft add chain ip later post { type nat hook postrouting priority 101 ; }
			nft add rule ip later post masquerade`)
		if got := source(); got != container {
			t.Errorf("with NETMAP: arrived as %v", got)
		}
		linktest.Run(t, "nft delete table ip later")

		path, err := exec.LookPath("iptables")
		if err != nil {
			t.Fatal(err)
		}
		bin := t.TempDir()
		script := "#!/bin/sh\ncase \"$*\" in *NETMAP*) echo 'iptables: No chain/target/match by that name.' >&2; exit 1;; esac\nexec " + path + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(bin, "iptables"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		linktest.Run(t, "iptables -t nat -F FLANNELD-flannel0")
		f := newFirewall(t, testConfig("flannel0"))
		ensure(t, f)
		if rules := chain(t, "nat", "FLANNELD-flannel0"); len(rules) != 1 || !strings.HasSuffix(string(rules[0]), "-o flannel0 -j ACCEPT") {
			t.Errorf("rules %q", rules)
		}
		if got := source(); got != container {
			t.Errorf("with ACCEPT: arrived as %v", got)
		}
	})
}
