// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package firewall

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
	"flanneld/internal/host/pathrules"
)

// Beside the hosts of topology, the remote host is reached by a tunnel as well,
// and the one outside is a peer on the same segment, with 10.244.5.0/24.
const pathTopology = `
	ip link add flannel.1 type veth peer name eth1 netns remote
	ip addr add 10.244.7.0/32 dev flannel.1
	ip link set flannel.1 up
	ip route add 10.244.8.0/24 dev flannel.1 src 10.244.7.0
	ip -n remote addr add 10.244.8.2/32 dev eth1
	ip -n remote link set eth1 up
	ip -n remote route add 10.244.7.0/32 dev eth1 metric 5
	ip -n remote route add 10.244.7.0/24 via 10.244.7.0 dev eth1 onlink metric 5
	sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.flannel/1.rp_filter=0 net.ipv4.conf.flannel0.rp_filter=0
	ip netns exec remote sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0

	ip -n outside link set eth0 address 02:00:00:00:00:09
	ip -n outside addr add 10.244.5.2/32 dev lo
	ip -n outside link set lo up
	ip -n outside route add 10.244.7.0/24 via 192.0.2.1 dev eth0
	ip route add 10.244.5.0/24 via 192.0.2.9 dev eth0 onlink src 10.244.7.0
`

func pathHosts(t *testing.T) {
	t.Helper()
	hosts(t)
	t.Cleanup(func() { linktest.Try("ip link delete flannel.1") })
	linktest.Script(t, pathTopology)
}

// withPaths has rules for a tunnel and for the direct path.
func withPaths() Config {
	c := testConfig("flannel0")
	c.Tunnels, c.Direct, c.Masquerade = []string{"flannel.1", "flannel.ipip"}, "eth0", true
	return c
}

// checkDirect lets the peer outside send directly.
func checkDirect(t *testing.T) *pathrules.Part {
	t.Helper()
	p := pathrules.NewPart("flannel0", 0)
	p.Want(&pathrules.Config{
		Network: netip.MustParsePrefix("10.244.0.0/16"), Local: netip.MustParseAddr("192.0.2.1"), Underlay: "eth0", Direct: true,
	})
	p.SetPeers([]pathrules.Peer{{
		Prefix: netip.MustParsePrefix("10.244.5.0/24"), Endpoint: netip.MustParseAddr("192.0.2.9"),
		MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}, Direct: true,
	}})
	if _, err := p.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestDocker28LetsKernelPathsPassAndNothingElse(t *testing.T) {
	backends(t, func(t *testing.T) {
		pathHosts(t)
		linktest.Script(t, docker28)
		p := checkDirect(t)
		toContainer := func(from, bind string, wait time.Duration) netip.Addr {
			t.Helper()
			return send(t, from, bind, "container", "10.244.7.2:53", "53", wait)
		}
		fromContainer := func(to, dst string) netip.Addr {
			t.Helper()
			return send(t, "container", "", to, dst+":53", "53", arrives)
		}
		if toContainer("outside", "10.244.5.2", mustNotBy).IsValid() || toContainer("remote", "10.244.8.2", mustNotBy).IsValid() {
			t.Fatal("Docker's rules do not stand in the way: this test shows nothing")
		}
		f := newFirewall(t, withPaths())
		ensure(t, f)
		container := netip.MustParseAddr("10.244.7.2")
		for _, peer := range []struct{ ns, addr string }{{"outside", "10.244.5.2"}, {"remote", "10.244.8.2"}, {"remote", "10.244.9.2"}} {
			if src := toContainer(peer.ns, peer.addr, arrives); src != netip.MustParseAddr(peer.addr) {
				t.Errorf("from %s: source %v\n%s", peer.addr, src, allRules(t))
			}
			if src := fromContainer(peer.ns, peer.addr); src != container {
				t.Errorf("to %s: source %v", peer.addr, src)
			}
			// From another network of this host: replies need an address that
			// the peer has a route to.
			if src := send(t, "", "192.0.2.1", peer.ns, peer.addr+":53", "53", arrives); src != netip.MustParseAddr("10.244.7.0") {
				t.Errorf("%s saw the host as %v", peer.addr, src)
			}
		}
		if src := toContainer("outside", "192.0.2.9", mustNotBy); src.IsValid() {
			t.Errorf("a packet from outside the network reached the container, from %v", src)
		}
		linktest.Run(t, "ip -n outside addr add 10.244.6.2/32 dev lo")
		if src := toContainer("outside", "10.244.6.2", mustNotBy); src.IsValid() {
			t.Error("a source of another lease reached the container")
		}
		if got := p.Refused()[pathrules.Direct].Packets; got != 1 {
			t.Errorf("%d packets refused", got)
		}
		linktest.Run(t, "nft delete table ip flanneld-paths-flannel0")
		if src := toContainer("outside", "10.244.5.2", mustNotBy); src.IsValid() {
			t.Error("a packet that was not checked reached the container")
		}
		if _, err := p.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if src := toContainer("outside", "10.244.5.2", arrives); !src.IsValid() {
			t.Error("nothing arrives after the repair")
		}
	})
}

// The operator's rules decide about kernel paths as well.
func TestOperatorsDropHoldsForKernelPaths(t *testing.T) {
	backends(t, func(t *testing.T) {
		pathHosts(t)
		linktest.Script(t, docker28)
		checkDirect(t)
		ensure(t, newFirewall(t, withPaths()))
		for _, first := range []string{"", "iptables -I FORWARD -i eth7 -j DROP"} {
			if first != "" {
				linktest.Run(t, first)
				ensure(t, newFirewall(t, withPaths()))
			}
			for _, peer := range []struct{ ns, addr string }{{"outside", "10.244.5.2"}, {"remote", "10.244.8.2"}} {
				linktest.Run(t, "iptables -I DOCKER-USER -s "+peer.addr+" -j DROP")
				if src := send(t, peer.ns, peer.addr, "container", "10.244.7.2:53", "53", mustNotBy); src.IsValid() {
					t.Errorf("%s overtakes the operator's rule after %q", peer.addr, first)
				}
				linktest.Run(t, "iptables -D DOCKER-USER -s "+peer.addr+" -j DROP")
				if src := send(t, peer.ns, peer.addr, "container", "10.244.7.2:53", "53", arrives); !src.IsValid() {
					t.Errorf("nothing arrives from %s after %q", peer.addr, first)
				}
			}
		}
	})
}

// A connection of this host with a translated source goes on when its path
// changes: neither a packet nor its port is lost.
func TestConnectionsKeepTheirSourceWhenThePathChanges(t *testing.T) {
	backends(t, func(t *testing.T) {
		pathHosts(t)
		ensure(t, newFirewall(t, withPaths()))
		server, client := linktest.Listen(t, "remote", "udp4", ":53"), linktest.Listen(t, "", "udp4", "192.0.2.1:0")
		var first string
		for i, route := range []string{
			"", "ip route add 10.244.9.2/32 dev flannel.1", "ip route delete 10.244.9.2/32 dev flannel.1", "ip route add 10.244.9.2/32 dev flannel.1",
		} {
			if route != "" {
				linktest.Run(t, route)
			}
			for range 3 {
				if _, err := client.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.IPv4(10, 244, 9, 2), Port: 53}); err != nil {
					t.Fatal(err)
				}
				server.SetReadDeadline(time.Now().Add(arrives))
				_, src, err := server.ReadFrom(make([]byte, 16))
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("change %d: a packet was lost", i)
				} else if err != nil {
					t.Fatal(err)
				}
				if first == "" {
					first = src.String()
				}
				if src.String() != first || !strings.HasPrefix(first, "10.244.7.0:") {
					t.Errorf("change %d: from %s, at first from %s", i, src, first)
				}
			}
		}
	})
}
