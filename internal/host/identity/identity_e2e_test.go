// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package identity

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// The host is the test's own namespace. Pairs of devices stand in for the
// overlay and for a tunnel; another lease is reached directly by eth0.
//
//	container 10.244.7.2 -- docker0 10.244.7.1 [host 10.244.7.0] flannel0  -- remote 10.244.9.2
//	                                                             flannel.1 -- remote 10.244.8.2
//	                                              192.0.2.1 eth0 -- outside 192.0.2.9, 10.244.5.2
const topology = `
	ip netns add container
	ip netns add remote
	ip netns add outside
	sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	ip netns exec remote sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0

	ip link add flannel0 type veth peer name eth0 netns remote
	ip addr add 10.244.7.0/32 dev flannel0
	ip link set flannel0 up
	ip route add 10.244.0.0/16 dev flannel0 src 10.244.7.0
	ip link add flannel.1 type veth peer name eth1 netns remote
	ip addr add 10.244.7.0/32 dev flannel.1
	ip link set flannel.1 up
	ip route add 10.244.8.0/24 dev flannel.1 src 10.244.7.0

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
	ip -n remote addr add 10.244.8.2/32 dev eth1
	ip -n remote link set eth0 up
	ip -n remote link set eth1 up
	ip -n remote route add 10.244.7.0/32 dev eth0
	ip -n remote route add 10.244.7.0/24 via 10.244.7.0 src 10.244.9.2

	ip link add eth0 type veth peer name eth0 netns outside
	ip addr add 192.0.2.1/24 dev eth0
	ip link set eth0 up
	ip -n outside addr add 192.0.2.9/24 dev eth0
	ip -n outside addr add 10.244.5.2/32 dev eth0
	ip -n outside link set eth0 up
	ip -n outside route add 10.244.7.0/24 via 192.0.2.1
	ip route add 10.244.5.0/24 via 192.0.2.9 dev eth0 src 10.244.7.0
`

func hosts(t *testing.T) {
	t.Helper()
	linktest.Teardown(t, "ip link delete veth0", "ip link delete flannel0", "ip link delete flannel.1", "ip link delete eth0",
		"ip link delete docker0", "ip netns delete container", "ip netns delete remote", "ip netns delete outside", "nft flush ruleset")
	linktest.Script(t, topology)
}

var (
	container = netip.MustParseAddr("10.244.7.2")
	ownHost   = netip.MustParseAddr("10.244.7.0")
)

// peers are the ways to other leases, by each kind of device.
var peers = []struct{ ns, addr, device string }{
	{"remote", "10.244.9.2", "flannel0"}, {"remote", "10.244.8.2", "flannel.1"}, {"outside", "10.244.5.2", "eth0"},
}

const arrives = 5 * time.Second

// send sends a datagram between namespaces and returns the source address and
// port it arrives with.
func send(t *testing.T, from, bind, to, dst string) netip.AddrPort {
	t.Helper()
	server, client := linktest.Listen(t, to, "udp4", ":53"), linktest.Listen(t, from, "udp4", bind+":0")
	defer server.Close()
	defer client.Close()
	return pass(t, client, server, dst)
}

func pass(t *testing.T, client, server net.PacketConn, dst string) netip.AddrPort {
	t.Helper()
	if _, err := client.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(dst))); err != nil {
		t.Fatal(err)
	}
	server.SetReadDeadline(time.Now().Add(arrives))
	_, src, err := server.ReadFrom(make([]byte, 16))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing arrived at %s\n%s", dst, linktest.Run(t, "nft list ruleset"))
		return netip.AddrPort{}
	} else if err != nil {
		t.Fatal(err)
	}
	return netip.MustParseAddrPort(src.String())
}

func newPart(t *testing.T, c Config) *Part {
	t.Helper()
	p := NewPart(c.Device)
	p.Want(&c)
	t.Cleanup(func() {
		if err := p.Remove(t.Context()); err != nil {
			t.Error(err)
		}
		if left := linktest.Run(t, "nft list ruleset"); strings.Contains(left, "flanneld") {
			t.Errorf("left behind:\n%s", left)
		}
	})
	return p
}

// ensure runs Ensure and expects so many changes, and none of a second run.
func ensure(t *testing.T, p *Part, changes int) {
	t.Helper()
	changed, err := p.Ensure(t.Context())
	if err != nil || p.Unavailable() != "" {
		t.Fatalf("%v, unavailable %q", err, p.Unavailable())
	}
	if len(changed) != changes || !p.InPlace() {
		t.Errorf("%d changes, want %d: %q; in place %t", len(changed), changes, changed, p.InPlace())
	}
	if wrong, err := p.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("Check after Ensure: %q, %v\n%s", wrong, err, linktest.Run(t, "nft list ruleset"))
	}
	if again, err := p.Ensure(t.Context()); err != nil || len(again) > 0 {
		t.Errorf("a second Ensure: %q, %v", again, err)
	}
}

// masquerader hides every source, by a chain of nf_tables at that priority.
func masquerader(t *testing.T, priority int) {
	t.Helper()
	linktest.Script(t, fmt.Sprintf(`
		nft add table ip other
		nft add chain ip other post { type nat hook postrouting priority %d ; }
		nft add rule ip other post masquerade`, priority))
}

// Whatever another program masquerades, and whichever came first, the source
// stays: both ways and by every kind of path.
func TestSourceIsKeptAgainstOthersMasquerading(t *testing.T) {
	hosts(t)
	for name, other := range map[string]struct {
		made  func(t *testing.T)
		taken string
		keeps bool
	}{
		"nf_tables at 89":  {func(t *testing.T) { masquerader(t, 89) }, "nft delete table ip other", false},
		"nf_tables at 99":  {func(t *testing.T) { masquerader(t, 99) }, "nft delete table ip other", true},
		"nf_tables at 100": {func(t *testing.T) { masquerader(t, 100) }, "nft delete table ip other", true},
		"nf_tables at 101": {func(t *testing.T) { masquerader(t, 101) }, "nft delete table ip other", true},
		"iptables-nft": {func(t *testing.T) { linktest.Run(t, "iptables-nft -t nat -I POSTROUTING -j MASQUERADE") },
			"iptables-nft -t nat -F", true},
		"iptables-legacy": {func(t *testing.T) { linktest.Run(t, "iptables-legacy -t nat -I POSTROUTING -j MASQUERADE") },
			"iptables-legacy -t nat -F", true},
	} {
		for _, first := range []string{"other first", "ours first"} {
			t.Run(name+"/"+first, func(t *testing.T) {
				p := newPart(t, testConfig())
				if first == "other first" {
					other.made(t)
					if got := send(t, "container", "", "remote", "10.244.9.2:53"); got.Addr() != ownHost {
						t.Fatalf("nothing masquerades: this test shows nothing: %v", got)
					}
					ensure(t, p, 1)
				} else {
					ensure(t, p, 1)
					other.made(t)
				}
				defer linktest.Run(t, other.taken)
				for _, peer := range peers {
					if got := send(t, "container", "", peer.ns, peer.addr+":53").Addr(); (got == container) != other.keeps {
						t.Errorf("by %s: arrived as %v", peer.device, got)
					}
					if got := send(t, peer.ns, peer.addr, "container", container.String()+":53").Addr(); (got.String() == peer.addr) != other.keeps {
						t.Errorf("by %s, to the container: arrived as %v", peer.device, got)
					}
				}
			})
		}
	}
}

// With --ip-masq the rest of the world sees the host, and the overlay sees the
// host's other networks as LEASE.0.
func TestMasqueradingSparesTheOverlay(t *testing.T) {
	hosts(t)
	p := newPart(t, testConfig())
	ensure(t, p, 1)
	outward := func() netip.Addr { t.Helper(); return send(t, "container", "", "outside", "192.0.2.9:53").Addr() }
	if got := outward(); got != container {
		t.Errorf("outside saw %v, masqueraded without being asked", got)
	}
	c := withPaths()
	p.Want(&c)
	ensure(t, p, 0)
	if got := outward(); got != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("outside saw %v", got)
	}
	for _, peer := range peers {
		if got := send(t, "container", "", peer.ns, peer.addr+":53").Addr(); got != container {
			t.Errorf("%s saw the container as %v", peer.addr, got)
		}
		if got := send(t, "", "192.0.2.1", peer.ns, peer.addr+":53").Addr(); got != ownHost {
			t.Errorf("%s saw the host as %v", peer.addr, got)
		}
	}
}

// Within the lease Docker's masquerading goes on: a container that calls its
// own published port would otherwise answer itself.
func TestContainerReachesItsOwnPublishedPort(t *testing.T) {
	hosts(t)
	linktest.Script(t, `
		iptables -t nat -A PREROUTING -d 192.0.2.1/32 -p udp --dport 53 -j DNAT --to-destination 10.244.7.2:53
		iptables -t nat -A PREROUTING -d 10.244.7.1/32 -p udp --dport 53 -j DNAT --to-destination 10.244.7.2:53
		iptables -t nat -A POSTROUTING -s 10.244.7.0/24 ! -o docker0 -j MASQUERADE
		iptables -t nat -A POSTROUTING -s 10.244.7.2/32 -d 10.244.7.2/32 -p udp --dport 53 -j MASQUERADE`)
	ensure(t, newPart(t, testConfig()), 1)
	if got := send(t, "container", "", "container", "192.0.2.1:53").Addr(); got != netip.MustParseAddr("10.244.7.1") {
		t.Errorf("it saw itself as %v, want the bridge's address", got)
	}
	if got := send(t, "outside", "", "container", "192.0.2.1:53").Addr(); got != netip.MustParseAddr("192.0.2.9") {
		t.Errorf("outside came as %v", got)
	}
	if got := send(t, "remote", "", "container", "10.244.7.1:53").Addr(); got != netip.MustParseAddr("10.244.9.2") {
		t.Errorf("a remote container came as %v", got)
	}
}

// Two connections with the same addresses and ports after destination NAT are
// told apart by the port; the address stays.
func TestPortsThatCollideAreToldApart(t *testing.T) {
	hosts(t)
	masquerader(t, 100)
	linktest.Run(t, "iptables -t nat -A PREROUTING -d 203.0.113.5/32 -p udp --dport 53 -j DNAT --to-destination 10.244.9.2:53")
	ensure(t, newPart(t, testConfig()), 1)
	server, client := linktest.Listen(t, "remote", "udp4", ":53"), linktest.Listen(t, "container", "udp4", ":5000")
	first, second := pass(t, client, server, "203.0.113.5:53"), pass(t, client, server, "10.244.9.2:53")
	if first.Addr() != container || second.Addr() != container || first == second {
		t.Errorf("arrived as %v and %v", first, second)
	}
}

// Errors follow the connection that they are about: a socket hears of a port
// that nobody listens at.
func TestErrorsFindTheirConnection(t *testing.T) {
	hosts(t)
	masquerader(t, 100)
	ensure(t, newPart(t, testConfig()), 1)
	for from, to := range map[string]string{"container": "10.244.9.2:9", "remote": "10.244.7.2:9"} {
		linktest.In(t, from, func() error {
			conn, err := net.Dial("udp4", to)
			if err != nil {
				return err
			}
			defer conn.Close()
			if _, err := conn.Write([]byte("hello")); err != nil {
				return err
			}
			conn.SetReadDeadline(time.Now().Add(arrives))
			if _, err = conn.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("from %s: %v, want the error of the other host", from, err)
			}
			return nil
		})
	}
}

// No program translates what the kernel keeps no connection for.
func TestPacketsWithoutAConnectionKeepTheirSource(t *testing.T) {
	hosts(t)
	masquerader(t, 100)
	linktest.Run(t, "iptables -t raw -A PREROUTING -i docker0 -j NOTRACK")
	ensure(t, newPart(t, testConfig()), 1)
	if got := send(t, "container", "", "remote", "10.244.9.2:53").Addr(); got != container {
		t.Errorf("arrived as %v", got)
	}
	linktest.Run(t, "iptables -t raw -F")
}
