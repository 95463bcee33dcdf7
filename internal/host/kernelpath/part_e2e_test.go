// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package kernelpath

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"flanneld/internal/host"
	"flanneld/internal/host/link/linktest"
	"flanneld/internal/host/rtnl"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// overlay is the overlay device with the lease's address and the network's
// route, as the part "device" makes it.
func overlay(t *testing.T) {
	t.Helper()
	linktest.Script(t, `
		sysctl -qw net.ipv4.ip_forward=1
		ip tuntap add dev flannel0 mode tun
		ip link set flannel0 alias flanneld up
		ip addr add 10.244.7.0/32 dev flannel0
		ip route add 10.244.0.0/16 dev flannel0 proto static scope link src 10.244.7.0`)
	t.Cleanup(func() { linktest.Try("ip link delete flannel0") })
}

// wanting is a part that knows what is wanted, with everything removed in the
// end.
func wanting(t *testing.T, c Config, peers ...Peer) *Part {
	t.Helper()
	p := NewPart("flannel0")
	p.Want(&c)
	p.SetPeers(peers)
	t.Cleanup(func() {
		if err := p.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// started is wanting, in use.
func started(t *testing.T, c Config, peers ...Peer) *Part {
	t.Helper()
	p := wanting(t, c, peers...)
	ensure(t, p)
	return p
}

// ensure calls Ensure and expects that nothing is left to do.
func ensure(t *testing.T, p *Part) []string {
	t.Helper()
	changed, err := p.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if wrong, err := p.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Fatalf("Check after Ensure: %q, %v", wrong, err)
	}
	if again, err := p.Ensure(t.Context()); err != nil || len(again) > 0 {
		t.Fatalf("Ensure is not idempotent: %q, %v", again, err)
	}
	return changed
}

func out(t *testing.T, line string) string {
	t.Helper()
	return strings.Join(strings.Fields(linktest.Run(t, line)), " ")
}

func expect(t *testing.T, line string, want ...string) {
	t.Helper()
	got := out(t, line)
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s: no %q in %s", line, w, got)
		}
	}
	if len(want) == 0 && got != "" {
		t.Errorf("%s: %s", line, got)
	}
}

func TestPeersByVXLANAndDirect(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	far := testPeer(9, Vxlan)
	far.Port, far.MTU = 4789, 1400
	started(t, testConfig(), testPeer(8, Vxlan), far, testPeer(10, Direct), testPeer(11, ""))
	expect(t, "ip -d link show flannel.1", "mtu 1450 ", "UP", "link/ether 02:00:00:00:00:07", "vxlan id 1 local 192.168.7.1 ",
		"dstport 8472", "nolearning", "alias flanneld test flannel0", "addrgenmode none")
	expect(t, "ip addr show dev flannel.1", "inet 10.244.7.0/32")
	if got := out(t, "ip addr show dev flannel.1"); strings.Contains(got, "inet6") {
		t.Errorf("an IPv6 address: %s", got)
	}
	expect(t, "sysctl -n net.ipv4.conf.flannel/1.rp_filter", "2")
	expect(t, "sysctl -n net.ipv4.conf.flannel/1.forwarding", "1")
	expect(t, "ip route show proto 85",
		"10.244.8.0/24 via 10.244.8.0 dev flannel.1 src 10.244.7.0 onlink mtu 1450",
		"10.244.9.0/24 via 10.244.9.0 dev flannel.1 src 10.244.7.0 onlink mtu 1400",
		"10.244.10.0/24 via 192.168.7.10 dev eth0 src 10.244.7.0 onlink mtu 1450")
	expect(t, "ip neigh show dev flannel.1", "10.244.8.0 lladdr 02:00:00:00:00:08 PERMANENT", "10.244.11.0 lladdr 02:00:00:00:00:0b PERMANENT")
	expect(t, "bridge fdb show dev flannel.1", "02:00:00:00:00:08 dst 192.168.7.8 self permanent",
		"02:00:00:00:00:09 dst 192.168.7.9 port 4789 self permanent", "02:00:00:00:00:0b dst 192.168.7.11 self permanent")
	expect(t, "ip route get 10.244.11.2", "dev flannel0 src 10.244.7.0")
}

// Every change by another program is put back, and Check names it before.
func TestWhatOthersChangeIsPutBack(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	p := started(t, testConfig(), testPeer(8, Vxlan), testPeer(9, Direct))
	t.Cleanup(func() { linktest.Try("ip link delete br7") })
	for _, breakage := range []string{
		"ip link set flannel.1 down",
		"ip link set flannel.1 mtu 1300",
		"ip link set flannel.1 address 02:aa:aa:aa:aa:aa",
		"ip link set flannel.1 addrgenmode eui64",
		"ip link add br7 type bridge;ip link set flannel.1 master br7",
		"ip link delete flannel.1",
		"ip addr flush dev flannel.1",
		"ip addr add 10.244.9.0/32 dev flannel.1",
		"sysctl -qw net.ipv4.conf.flannel/1.rp_filter=1",
		"sysctl -qw net.ipv4.conf.flannel/1.forwarding=0",
		"ip route del 10.244.8.0/24",
		"ip route flush proto 85",
		"ip route replace 10.244.9.0/24 via 192.168.7.9 dev eth0 proto 85",
		"ip route add 10.244.77.0/24 via 192.168.7.77 dev eth0 onlink proto 85",
		"ip neigh flush dev flannel.1 nud permanent",
		"ip neigh replace 10.244.8.0 lladdr 02:aa:aa:aa:aa:aa dev flannel.1",
		"ip neigh add 10.244.99.0 lladdr 02:aa:aa:aa:aa:aa dev flannel.1 nud permanent",
		"bridge fdb del 02:00:00:00:00:08 dev flannel.1",
		"bridge fdb replace 02:00:00:00:00:08 dst 192.168.7.99 dev flannel.1",
		"bridge fdb append 00:00:00:00:00:00 dst 192.168.7.99 dev flannel.1",
		"bridge fdb replace 02:00:00:00:00:08 dst 192.168.7.8 vni 9 dev flannel.1",
		"bridge fdb replace 02:00:00:00:00:08 dst 192.168.7.8 port 4789 dev flannel.1",
		"bridge fdb replace 02:00:00:00:00:08 dst 192.168.7.8 via eth1 dev flannel.1",
		"bridge fdb replace 02:00:00:00:00:08 dst 192.168.7.8 dynamic dev flannel.1",
		"bridge fdb del 02:00:00:00:00:08 dev flannel.1;ip nexthop add id 9 via 192.168.7.8 fdb;ip nexthop add id 10 group 9 fdb;" +
			"bridge fdb add 02:00:00:00:00:08 dev flannel.1 nhid 10",
		"ip link set flannel.1 type vxlan id 1 ttl 1",
		"ip link set flannel.1 type vxlan id 1 tos 4",
		"ip link set flannel.1 type vxlan id 1 df set",
		"ip link set flannel.1 type vxlan id 1 dev eth1",
		"ip link set flannel.1 type vxlan id 1 learning",
		"ip link set flannel.1 type vxlan id 1 local 192.168.7.2",
		"ip link set flannel.1 type vxlan id 1 group 239.1.1.1 dev eth0",
		"ip link set eth0 down;ip link set eth0 up",
	} {
		for line := range strings.SplitSeq(breakage, ";") {
			linktest.Run(t, line)
		}
		wrong, err := p.Check(t.Context())
		if err != nil || len(wrong) == 0 {
			t.Errorf("%s: Check says %q, %v", breakage, wrong, err)
		}
		changed := ensure(t, p)
		if len(changed) == 0 {
			t.Errorf("%s: Check says %q, Ensure did nothing", breakage, wrong)
		}
		t.Logf("%s: %q", breakage, changed)
		expect(t, "ip route show proto 85", "10.244.8.0/24 via 10.244.8.0 dev flannel.1", "10.244.9.0/24 via 192.168.7.9 dev eth0")
		expect(t, "ip neigh show dev flannel.1", "10.244.8.0 lladdr 02:00:00:00:00:08 PERMANENT")
		expect(t, "bridge fdb show dev flannel.1", "02:00:00:00:00:08 dst 192.168.7.8 self permanent")
	}
}

func TestAliasIsPutRight(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	p := started(t, testConfig())
	l, err := netlink.LinkByName("flannel.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetAlias(l, "flanneld earlier flannel0"); err != nil { // of an earlier identity
		t.Fatal(err)
	}
	if changed := ensure(t, p); len(changed) != 1 {
		t.Errorf("changed %q", changed)
	}
	expect(t, "ip link show flannel.1", "alias flanneld test flannel0")
}

func TestOneChangedPeerTouchesOneRoute(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	var peers []Peer
	for i := range 50 {
		peers = append(peers, testPeer(byte(10+i), Direct))
	}
	p := started(t, testConfig(), peers...)
	changed := watchRoutes(t)
	peers = slices.Clone(peers)
	peers[7].Path = Vxlan
	if due := p.SetPeers(peers); due {
		t.Error("not done at once")
	}
	if got := changed(); len(got) != 1 || got[0] != "10.244.17.0/24" {
		t.Errorf("changed routes: %q", got)
	}
	peers = slices.Delete(slices.Clone(peers), 3, 4)
	p.SetPeers(peers)
	if got := changed(); len(got) != 1 || got[0] != "10.244.13.0/24" {
		t.Errorf("changed routes: %q", got)
	}
	if got := out(t, "bridge fdb show dev flannel.1"); strings.Contains(got, "02:00:00:00:00:0d") {
		t.Errorf("the FDB entry of the peer is left: %s", got)
	}
	if changes := ensure(t, p); len(changes) > 0 {
		t.Errorf("Ensure found %q", changes)
	}
}

// A thousand peers come up from nothing in two seconds.
func TestAThousandPeers(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	c := testConfig()
	c.Network = netip.MustParsePrefix("10.240.0.0/12")
	p := NewPart("flannel0")
	t.Cleanup(func() { p.Remove(t.Context()) })
	var peers []Peer
	for i := range 1000 {
		a, b := byte(i/250), byte(i%250)
		path := []string{Vxlan, Direct}[i%2]
		peers = append(peers, Peer{
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 248 + a, b, 0}), 24), Endpoint: netip.AddrFrom4([4]byte{192, 168, 8 + a, b + 1}),
			VXLAN: true, MAC: net.HardwareAddr{2, 0, 0, 1, a, b}, Path: path, MTU: 1450,
		})
	}
	began := time.Now()
	p.Want(&c)
	p.SetPeers(peers)
	if _, err := p.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if n := len(p.Installed()); n != 1000 {
		t.Errorf("%d routes", n)
	}
	began = time.Now()
	ensure(t, p)
	t.Logf("from nothing %v, three comparisons %v", took, time.Since(began))
	if took > 2*time.Second && patience() == 1 { // emulated machines prove nothing about time
		t.Errorf("took %v", took)
	}
	began = time.Now()
	p.SetPeers(peers[1:])
	t.Logf("one change %v", time.Since(began))
}

// A restarted daemon takes over what is there: nothing changes while the peers
// are not known, and what is not wanted goes when they are.
func TestRestartTakesOver(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	started(t, testConfig(), testPeer(8, Vxlan), testPeer(9, Direct))
	second := NewPart("flannel0")
	c := testConfig()
	second.Want(&c)
	if changes := ensure(t, second); len(changes) > 0 {
		t.Errorf("changed %q", changes)
	}
	if got := second.Installed(); len(got) != 2 || got[netip.MustParsePrefix("10.244.8.0/24")] != "flannel.1" {
		t.Errorf("installed: %v", got)
	}
	changed := watchRoutes(t)
	second.SetPeers([]Peer{testPeer(8, Vxlan)})
	if got := changed(); len(got) != 1 || got[0] != "10.244.9.0/24" {
		t.Errorf("changed routes: %q", got)
	}
}

// An earlier process had other devices. They go, and other programs' stay.
func TestLeftoversAreRemoved(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	linktest.Script(t, `
		ip link add flannel.7 type vxlan id 7 dstport 8472
		ip link add flannel.8 type vxlan id 8 dstport 8472
		ip link set flannel.8 alias flannel
		ip tuntap add dev other0 mode tun
		ip link set other0 alias flanneld up
		ip addr add 10.99.0.0/32 dev other0
		ip route add 10.99.5.0/24 via 192.168.7.50 dev eth0 onlink proto 85 src 10.99.0.0
		ip route add 10.244.66.0/24 via 192.168.7.66 dev eth0 onlink`)
	t.Cleanup(func() {
		linktest.Script(t, "ip link delete flannel.7\nip link delete flannel.8\nip link delete other0")
		linktest.Try("ip route del 10.244.66.0/24")
	})
	old := testConfig()
	old.VXLAN.Name, old.VXLAN.VNI = "flannel.3", 3
	started(t, old, testPeer(8, Vxlan), testPeer(9, Direct))

	p := NewPart("flannel0")
	if got := p.Present(); len(got) != 2 || !strings.Contains(got[0], "flannel.3") || got[1] != "2 routes to peers" {
		t.Errorf("present: %q", got)
	}
	empty := testConfig()
	empty.VXLAN = nil
	p.Want(&empty)
	p.SetPeers(nil)
	ensure(t, p)
	if got := p.Present(); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
	expect(t, "ip route show proto 85", "10.99.5.0/24")
	expect(t, "ip route show 10.244.66.0/24", "192.168.7.66")
	expect(t, "ip link show flannel.7", "flannel.7")
}

func TestRemoveTakesEverythingAway(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	started(t, testConfig(), testPeer(8, Vxlan), testPeer(9, Direct))
	later := NewPart("flannel0") // a command without a daemon
	for range 2 {
		if err := later.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, "ip route show proto 85")
	if _, err := linktest.Try("ip link show flannel.1"); err == nil {
		t.Error("flannel.1 is left")
	}
	expect(t, "ip route show 10.244.0.0/16", "dev flannel0")
}

func TestDeviceOfAnotherProgramStays(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	for name, line := range map[string]string{
		"real flannel": "ip link add flannel.1 type vxlan id 1 dstport 8472 local 192.168.7.1",
		"a bridge":     "ip link add flannel.1 type bridge",
	} {
		linktest.Script(t, line)
		p := NewPart("flannel0")
		c := testConfig()
		p.Want(&c)
		p.SetPeers([]Peer{testPeer(8, Vxlan), testPeer(9, Direct)})
		_, err := p.Ensure(t.Context())
		all := host.Problems(err)
		if len(all) != 1 || !strings.Contains(all[0].Text, "flannel.1") || all[0].Advice != "ip link delete flannel.1" {
			t.Errorf("%s: %+v", name, all)
		}
		if why := p.Unavailable(Vxlan); !strings.Contains(why, "without flanneld's alias") {
			t.Errorf("%s: unavailable: %q", name, why)
		}
		if why := p.Unavailable(Direct); why != "" {
			t.Errorf("%s: direct: %q", name, why)
		}
		expect(t, "ip route show proto 85", "10.244.9.0/24 via 192.168.7.9 dev eth0")
		expect(t, "ip -d link show flannel.1", "flannel.1")
		linktest.Run(t, "ip link delete flannel.1") // fails if it is gone
		ensure(t, p)
		if why := p.Unavailable(Vxlan); why != "" {
			t.Errorf("%s: deleted, and still unavailable: %q", name, why)
		}
		if err := p.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVXLANPortOfAnotherProgram(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 8472})
	if err != nil {
		t.Fatal(err)
	}
	p := NewPart("flannel0")
	t.Cleanup(func() { p.Remove(t.Context()) })
	c := testConfig()
	p.Want(&c)
	if p.Unavailable(Vxlan) == "" {
		t.Error("available before it was looked at")
	}
	_, err = p.Ensure(t.Context())
	if all := host.Problems(err); len(all) != 1 || !strings.Contains(all[0].Text, "UDP port 8472 of flannel.1 is in use") || all[0].Advice == "" {
		t.Errorf("%+v", all)
	}
	if why := p.Unavailable(Vxlan); !strings.Contains(why, "8472") {
		t.Errorf("unavailable: %q", why)
	}
	socket.Close()
	ensure(t, p)
	if why := p.Unavailable(Vxlan); why != "" {
		t.Errorf("unavailable: %q", why)
	}
	linktest.Script(t, "ip link delete flannel.1\nip link add vx type vxlan id 1 dstport 8472")
	t.Cleanup(func() { linktest.Try("ip link delete vx") })
	_, err = p.Ensure(t.Context())
	if all := host.Problems(err); len(all) != 1 || !strings.Contains(all[0].Text, "another device has VNI 1") {
		t.Errorf("%+v", all)
	}
}

// ipip is there or it is not. Where it is not, that is said and is no problem.
func TestIPIP(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	c := testConfig()
	c.IPIP = &IPIP{Name: "flannel.ipip"}
	p := started(t, c, testPeer(8, Ipip), testPeer(9, Vxlan))
	if !hasIPIP(t) {
		if why := p.Unavailable(Ipip); !strings.Contains(why, "modprobe ipip") {
			t.Errorf("unavailable: %q", why)
		}
		expect(t, "ip route get 10.244.8.1", "dev flannel0")
		expect(t, "ip route get 10.244.9.1", "dev flannel.1")
		return
	}
	if why := p.Unavailable(Ipip); why != "" {
		t.Errorf("unavailable: %q", why)
	}
	expect(t, "ip -d link show flannel.ipip", "mtu 1450 ", "UP", "ipip", "remote any local 192.168.7.1 ttl inherit nopmtudisc", "alias flanneld test flannel0")
	expect(t, "sysctl -n net.ipv4.conf.flannel/ipip.rp_filter", "2")
	expect(t, "ip route show proto 85", "10.244.8.0/24 via 192.168.7.8 dev flannel.ipip src 10.244.7.0 onlink mtu 1450")
	const set = "ip link set flannel.ipip type ipip local 192.168.7.1 nopmtudisc "
	for _, breakage := range []string{
		"ip link set flannel.ipip down", "ip link delete flannel.ipip", "ip addr flush dev flannel.ipip",
		set + "ttl 64 pmtudisc", set + "pmtudisc", set + "tos 4", set + "dev eth0", set + "fwmark 7",
		set + "local 192.168.7.2",
	} {
		linktest.Script(t, breakage)
		if changed := ensure(t, p); len(changed) == 0 {
			t.Errorf("%s: Ensure did nothing", breakage)
		}
		expect(t, "ip -d link show flannel.ipip", "remote any local 192.168.7.1 ttl inherit nopmtudisc")
		expect(t, "ip route show proto 85", "10.244.8.0/24 via 192.168.7.8 dev flannel.ipip")
	}
	linktest.Script(t, "ip link delete flannel.ipip\nip link add flannel.ipip type ipip local 192.168.7.1")
	if _, err := p.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "without flanneld's alias") {
		t.Errorf("a device of that name: %v", err)
	}
	if err := p.Remove(t.Context()); err != nil {
		t.Error(err)
	}
	expect(t, "ip link show flannel.ipip", "flannel.ipip")
	linktest.Script(t, "ip link delete flannel.ipip\nip link add mine type ipip local 192.168.7.1")
	t.Cleanup(func() { linktest.Try("ip link delete mine") })
	if _, err := p.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "takes all packets of protocol 4") {
		t.Errorf("beside another ipip device: %v", err)
	}
}

// routeInTheWay expects that Ensure advises to remove one route.
func routeInTheWay(t *testing.T, p *Part, advice string) {
	t.Helper()
	_, err := p.Ensure(t.Context())
	if all := host.Problems(err); len(all) != 1 || all[0].Advice != advice {
		t.Errorf("%+v", all)
	}
}

// A route of another program is left alone, and so is one to a peer.
func TestRouteOfAnotherProgramIsNotTakenAway(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	linktest.Script(t, "ip route add 10.244.8.0/24 via 192.168.7.200 dev eth0")
	p := wanting(t, testConfig(), testPeer(8, Direct), testPeer(9, Direct))
	routeInTheWay(t, p, "ip route del 10.244.8.0/24 via 192.168.7.200 dev eth0")
	expect(t, "ip route show 10.244.8.0/24", "via 192.168.7.200")
	expect(t, "ip route show proto 85", "10.244.9.0/24")
	linktest.Run(t, "ip route del 10.244.8.0/24")
	ensure(t, p)
	expect(t, "ip route show 10.244.8.0/24", "via 192.168.7.8")
}

// What flannel's host-gw leaves behind leads the same way.
func TestRouteOfFlannelIsTakenOver(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	linktest.Script(t, "ip route add 10.244.8.0/24 via 192.168.7.8\nip route add 10.244.9.0/24 via 192.168.7.9 dev eth0 proto static")
	routeInTheWay(t, wanting(t, testConfig(), testPeer(8, Direct), testPeer(9, Direct)), "ip route del 10.244.9.0/24 via 192.168.7.9 dev eth0")
	expect(t, "ip route show 10.244.8.0/24", "via 192.168.7.8", "proto 85", "src 10.244.7.0")
	expect(t, "ip route show 10.244.9.0/24", "proto static")
}

// Without the overlay device its address is missing, which the routes prefer.
func TestOverlayDeviceThatIsNotThereYet(t *testing.T) {
	linktest.Underlay(t)
	c := testConfig()
	c.VXLAN = nil
	p := wanting(t, c, testPeer(8, Direct))
	if _, err := p.Ensure(t.Context()); !errors.Is(err, host.ErrPending) || len(host.Problems(err)) > 0 {
		t.Errorf("Ensure: %v", err)
	}
	overlay(t)
	ensure(t, p)
	linktest.Run(t, "ip link delete flannel0") // takes the address, and so the route
	expect(t, "ip route show proto 85")
	overlay(t)
	ensure(t, p)
}

func TestUnderlayThatCannotTakePackets(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	p := started(t, testConfig())
	expect := func(lines, words string) {
		t.Helper()
		<-p.Changed()
		linktest.Script(t, lines)
		ensure(t, p)
		if why := p.Unavailable(Direct); words == "" && why != "" || !strings.Contains(why, words) {
			t.Errorf("direct: %q", why)
		}
	}
	expect("sysctl -qw net.ipv4.conf.eth0.rp_filter=1", "rp_filter of eth0 is strict")
	expect("sysctl -qw net.ipv4.conf.eth0.forwarding=0", "net.ipv4.conf.eth0.forwarding is 0")
	expect("sysctl -qw net.ipv4.conf.eth0.forwarding=1\nsysctl -qw net.ipv4.conf.eth0.rp_filter=0", "")
}

func TestChecksumsAreTakenFromTheDevice(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	p := started(t, testConfig())
	expect(t, "ethtool -k flannel.1", "tx-checksum-ip-generic: on")
	if err := p.SetChecksumOffload(false); err != nil {
		t.Fatal(err)
	}
	expect(t, "ethtool -k flannel.1", "tx-checksum-ip-generic: off")
	linktest.Run(t, "ip link delete flannel.1")
	ensure(t, p)
	expect(t, "ethtool -k flannel.1", "tx-checksum-ip-generic: off")
	if err := p.SetChecksumOffload(true); err != nil {
		t.Fatal(err)
	}
	expect(t, "ethtool -k flannel.1", "tx-checksum-ip-generic: on", "tcp-segmentation-offload: on")
}

func TestUnderlayAddressMoves(t *testing.T) {
	linktest.Underlay(t)
	overlay(t)
	p := started(t, testConfig(), testPeer(8, Vxlan))
	c := testConfig()
	c.Local = netip.MustParseAddr("192.168.7.2")
	p.Want(&c)
	if changed := ensure(t, p); len(changed) == 0 {
		t.Error("nothing changed")
	}
	expect(t, "ip -d link show flannel.1", "local 192.168.7.2")
	expect(t, "ip route show proto 85", "10.244.8.0/24 via 10.244.8.0 dev flannel.1")
	expect(t, "bridge fdb show dev flannel.1", "02:00:00:00:00:08 dst 192.168.7.8")
}

// watchRoutes returns a function that reports the routes of our protocol that
// have changed since.
func watchRoutes(t *testing.T) func() []string {
	t.Helper()
	read := func() map[netip.Prefix]string {
		all, err := rtnl.Routes()
		if err != nil {
			t.Fatal(err)
		}
		found := map[netip.Prefix]string{}
		for _, r := range all {
			if int(r.Protocol) == Protocol {
				found[rtnl.Destination(r)] = fmt.Sprint(r)
			}
		}
		return found
	}
	before := read()
	return func() []string {
		after := read()
		var changed []string
		for dst, text := range after {
			if before[dst] != text {
				changed = append(changed, dst.String())
			}
		}
		for dst := range before {
			if after[dst] == "" {
				changed = append(changed, dst.String())
			}
		}
		before = after
		return changed
	}
}

// patience is by how much this machine may be slower than others, for emulated
// ones.
func patience() time.Duration {
	if n, err := strconv.Atoi(os.Getenv("FLANNELD_LAB_PATIENCE")); err == nil {
		return time.Duration(n)
	}
	return 1
}

// hasIPIP asks the kernel whether it has ipip. On kernels that are known to
// have it, a missing one is a failure.
func hasIPIP(t *testing.T) bool {
	t.Helper()
	_, err := linktest.Try("ip link add ipip-try type ipip local 192.168.7.2")
	linktest.Try("ip link delete ipip-try")
	if err != nil && os.Getenv("FLANNELD_LAB_IPIP") == "required" {
		t.Fatalf("this kernel should have ipip: %v", err)
	}
	return err == nil
}
