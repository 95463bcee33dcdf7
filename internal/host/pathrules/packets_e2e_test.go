// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package pathrules

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// The host is the test's own namespace. Peers 2 and 3 have leases of their own,
// peer 9 has none:
//
//	[host] eth0 192.0.2.1 ---+--- 192.0.2.N [peer N]
//	flannel.1 10.244.1.0     |    flannel.1 10.244.N.0, behind it 10.244.N.7
//	lo 10.244.1.7            |
//	                    br0 [wire]
const hostTopology = `
	ip netns add wire
	ip -n wire link add br0 type bridge
	ip -n wire link set br0 up
	ip link add eth0 type veth peer name port1 netns wire
	ip -n wire link set port1 master br0
	ip -n wire link set port1 up
	ip link set eth0 address 02:00:00:00:00:01
	ip addr add 192.0.2.1/24 dev eth0
	ip addr add 198.51.100.1/32 dev eth0
	ip link set eth0 up
	ip link add flannel.1 type vxlan id 1 dstport 8472 local 192.0.2.1 nolearning
	ip link set flannel.1 address 0a:00:00:00:00:01
	ip addr add 10.244.1.0/32 dev flannel.1
	ip link set flannel.1 up
	ip addr add 10.244.1.7/32 dev lo
	sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.flannel/1.rp_filter=0
`

const peerTopology = `
	ip netns add peerN
	ip -n wire link add portN type veth peer name eth0 netns peerN
	ip -n wire link set portN master br0
	ip -n wire link set portN up
	ip -n peerN link set eth0 address 02:00:00:00:00:0N
	ip -n peerN addr add 192.0.2.N/24 dev eth0
	ip -n peerN link set eth0 up
	ip -n peerN link add flannel.1 type vxlan id 1 dstport 8472 local 192.0.2.N nolearning
	ip -n peerN link set flannel.1 address 0a:00:00:00:00:0N
	ip -n peerN addr add 10.244.N.0/32 dev flannel.1
	ip -n peerN addr add 10.244.N.7/32 dev lo
	ip -n peerN link set flannel.1 up
	ip -n peerN neigh add 10.244.1.0 lladdr 0a:00:00:00:00:01 dev flannel.1
	ip netns exec peerN bridge fdb append 0a:00:00:00:00:01 dev flannel.1 dst 192.0.2.1
	ip -n peerN route add 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink
	ip neigh add 10.244.N.0 lladdr 0a:00:00:00:00:0N dev flannel.1
	bridge fdb append 0a:00:00:00:00:0N dev flannel.1 dst 192.0.2.N
	ip route add 10.244.N.0/24 via 10.244.N.0 dev flannel.1 onlink
`

func hosts(t *testing.T) {
	t.Helper()
	linktest.Script(t, hostTopology)
	for _, n := range []string{"2", "3", "9"} {
		linktest.Script(t, strings.ReplaceAll(peerTopology, "N", n))
	}
	for _, n := range []string{"2", "3", "9"} { // bridges take their time
		for end := time.Now().Add(arrives); time.Now().Before(end); {
			if _, err := linktest.Try("ip netns exec peer" + n + " ping -q -n -c 1 -W 0.2 192.0.2.1"); err == nil {
				break
			}
		}
	}
	linktest.Teardown(t,
		"ip link delete flannel.1", "ip link delete eth0", "ip addr delete 10.244.1.7/32 dev lo",
		"ip netns delete peer2", "ip netns delete peer3", "ip netns delete peer9", "ip netns delete wire")
}

// newPart makes the table for peers 2 and 3.
func newPart(t *testing.T) *Part {
	t.Helper()
	p := NewPart("flannel0", 65534)
	c := testConfig()
	p.Want(&c)
	p.SetPeers([]Peer{testPeer(2, 24), testPeer(3, 24)})
	ensure(t, p, 1)
	t.Cleanup(func() {
		for range 2 {
			if err := p.Remove(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if left := p.Present(); left != nil {
			t.Errorf("left behind: %q", left)
		}
	})
	return p
}

func ensure(t *testing.T, p *Part, repairs int) {
	t.Helper()
	changed, err := p.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(changed) != repairs {
		t.Errorf("%d repairs, want %d: %q", len(changed), repairs, changed)
	}
	if wrong, err := p.Check(t.Context()); err != nil || len(wrong) > 0 {
		t.Errorf("Check after Ensure: %q, %v\n%s", wrong, err, linktest.Run(t, "nft list ruleset"))
	}
	if again, err := p.Ensure(t.Context()); err != nil || len(again) > 0 {
		t.Errorf("a second Ensure: %q, %v", again, err)
	}
}

// How long a packet may take on its way through namespaces of one machine,
// where it arrives and where it must not.
const (
	arrives   = 5 * time.Second
	mustNotBy = 300 * time.Millisecond
)

// service is a socket of the host that packets are to reach.
type service struct{ net.PacketConn }

func listen(t *testing.T, network, addr string) service {
	t.Helper()
	return listenIn(t, "", network, addr)
}

// listenIn is listen in a namespace.
func listenIn(t *testing.T, ns, network, addr string) service {
	t.Helper()
	return service{linktest.Listen(t, ns, network, addr)}
}

// got returns the next packet's source; zero when none comes in time.
func (s service) got(t *testing.T, wait time.Duration) netip.Addr {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 2048)
	_, src, err := s.ReadFrom(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return netip.Addr{}
	} else if err != nil {
		t.Fatal(err)
	}
	switch src := src.(type) {
	case *net.UDPAddr:
		return src.AddrPort().Addr().Unmap()
	case *net.IPAddr:
		a, _ := netip.AddrFromSlice(src.IP.To4())
		return a
	}
	return netip.Addr{}
}

// datagram sends one through a peer's own devices.
func datagram(t *testing.T, ns, from, to string) {
	t.Helper()
	conn := linktest.Listen(t, ns, "udp4", from+":0")
	defer conn.Close()
	if _, err := conn.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))); err != nil {
		t.Fatal(err)
	}
}

// The kernel's own VXLAN devices, from members and from a host that is none.
func TestVXLANOfMembersPasses(t *testing.T) {
	hosts(t)
	s := listen(t, "udp4", ":7000")
	datagram(t, "peer9", "10.244.9.7", "10.244.1.7:7000")
	if !s.got(t, arrives).IsValid() {
		t.Fatal("without the table nothing arrives: this test shows nothing")
	}
	p := newPart(t)
	for _, n := range []string{"2", "3"} {
		for _, from := range []string{"10.244." + n + ".7", "10.244." + n + ".0"} {
			datagram(t, "peer"+n, from, "10.244.1.7:7000")
			if got := s.got(t, arrives); got != addr(from) {
				t.Errorf("from %s: %v", from, got)
			}
		}
	}
	datagram(t, "peer9", "10.244.9.7", "10.244.1.7:7000")
	linktest.Run(t, "ip -n peer3 addr add 10.244.2.99/32 dev lo")
	datagram(t, "peer3", "10.244.2.99", "10.244.1.7:7000") // another member's source
	if got := s.got(t, mustNotBy); got.IsValid() {
		t.Errorf("a packet from %v arrived", got)
	}
	if got := p.Refused()[VXLAN].Packets; got != 2 {
		t.Errorf("%d packets counted as refused, want 2", got)
	}
	traffic := arrivedBy(p)
	for _, prefix := range []string{"10.244.2.0/24", "10.244.3.0/24"} {
		if got := traffic[Key{netip.MustParsePrefix(prefix), VXLAN}]; got.Packets != 2 || got.Bytes < 2*(50+28) {
			t.Errorf("%s: %+v of %+v", prefix, got, traffic)
		}
	}
	// A peer that comes is let in, one that goes is not let in any more.
	p.SetPeers([]Peer{testPeer(2, 24), testPeer(9, 24)})
	ensure(t, p, 0)
	datagram(t, "peer9", "10.244.9.7", "10.244.1.7:7000")
	if got := s.got(t, arrives); got != addr("10.244.9.7") {
		t.Errorf("from a new peer: %v", got)
	}
	datagram(t, "peer3", "10.244.3.7", "10.244.1.7:7000")
	if got := s.got(t, mustNotBy); got.IsValid() {
		t.Errorf("from a former peer: %v", got)
	}
	if got := arrivedBy(p)[Key{netip.MustParsePrefix("10.244.2.0/24"), VXLAN}].Packets; got != 2 {
		t.Errorf("the count of a peer that stayed is %d", got)
	}
}

// crafted is a hand-made packet in a tunnel, or none.
type crafted struct {
	name     string
	outer    string // source
	to       string // destination of the outer packet; "": 192.0.2.1
	inner    string // source
	vni      uint32
	kind     uint16 // of the inner frame; 0: IPv4
	options  []byte
	cut      int // the outer packet is cut in two after so many bytes
	passes   bool
	uncounts bool // it is not refused either
}

func (p crafted) frames() [][]byte {
	if p.to == "" {
		p.to = "192.0.2.1"
	}
	if p.kind == 0 {
		p.kind = etherTypeIPv4
	}
	inner := ipv4(addr(p.inner), addr("10.244.1.7"), 17, nil, udp(9, 7000, make([]byte, 64)))
	outer := ipv4(addr(p.outer), addr(p.to), 17, p.options,
		udp(4000, 8472, vxlanHeader(p.vni, ether(mac(0x0a, 1), mac(0x0a, 9), p.kind, inner))))
	packets := [][]byte{outer}
	if p.cut > 0 {
		packets = fragments(outer, p.cut)
	}
	for i, b := range packets {
		packets[i] = ether(mac(2, 1), mac(2, 9), etherTypeIPv4, b)
	}
	return packets
}

func TestForgedVXLANIsDroppedAndCounted(t *testing.T) {
	hosts(t)
	s := listen(t, "udp4", ":7000")
	w := linktest.OpenWire(t, "peer9", "eth0")
	nop := []byte{1, 1, 1, 1}
	all := []crafted{
		{name: "a member's", outer: "192.0.2.2", inner: "10.244.2.7", vni: 1, passes: true},
		{name: "the first address", outer: "192.0.2.3", inner: "10.244.3.0", vni: 1, passes: true},
		{name: "the last address", outer: "192.0.2.3", inner: "10.244.3.255", vni: 1, passes: true},
		{name: "with options", outer: "192.0.2.2", inner: "10.244.2.7", vni: 1, options: nop, passes: true},
		{name: "in fragments", outer: "192.0.2.2", inner: "10.244.2.7", vni: 1, cut: 64, passes: true},
		{name: "in small fragments", outer: "192.0.2.2", inner: "10.244.2.7", vni: 1, cut: 8, passes: true},
		{name: "to another address of this host", outer: "192.0.2.2", to: "198.51.100.1", inner: "10.244.2.7", vni: 1, passes: true},
		{name: "a stranger's", outer: "192.0.2.9", inner: "10.244.9.7", vni: 1},
		{name: "a stranger's with a member's source", outer: "192.0.2.9", inner: "10.244.2.7", vni: 1},
		{name: "a member's with a stranger's source", outer: "192.0.2.2", inner: "10.244.9.7", vni: 1},
		{name: "a member's with another member's source", outer: "192.0.2.2", inner: "10.244.3.7", vni: 1},
		{name: "a member's with our source", outer: "192.0.2.2", inner: "10.244.1.9", vni: 1},
		{name: "a member's with its underlay source", outer: "192.0.2.2", inner: "192.0.2.2", vni: 1},
		{name: "a member's from outside", outer: "192.0.2.2", inner: "8.8.8.8", vni: 1},
		{name: "forged with options", outer: "192.0.2.9", inner: "10.244.2.7", vni: 1, options: nop},
		{name: "forged in fragments", outer: "192.0.2.9", inner: "10.244.2.7", vni: 1, cut: 64},
		{name: "forged in small fragments", outer: "192.0.2.9", inner: "10.244.2.7", vni: 1, cut: 8},
		{name: "forged between the headers", outer: "192.0.2.2", inner: "10.244.3.7", vni: 1, cut: 40},
		{name: "forged to another address", outer: "192.0.2.9", to: "198.51.100.1", inner: "10.244.2.7", vni: 1},
		{name: "another kind of frame", outer: "192.0.2.2", inner: "10.244.2.7", vni: 1, kind: 0x8100},
		{name: "another device's", outer: "192.0.2.9", inner: "10.244.2.7", vni: 7, uncounts: true},
	}
	for _, c := range all {
		for _, f := range c.frames() {
			w.MustSend(t, f)
		}
		want := c.kind == 0 && c.vni == 1
		if got := s.got(t, map[bool]time.Duration{true: arrives, false: mustNotBy}[want]); got.IsValid() != want {
			t.Errorf("without the table, %s: %v", c.name, got)
		}
	}
	p := newPart(t)
	for _, c := range all {
		before := p.Refused()[VXLAN].Packets
		for _, f := range c.frames() {
			w.MustSend(t, f)
		}
		want, wait := netip.Addr{}, mustNotBy
		if c.passes {
			want, wait = addr(c.inner), arrives
		}
		if got := s.got(t, wait); got != want {
			t.Errorf("%s: arrived from %v, want %v", c.name, got, want)
		}
		counted := p.Refused()[VXLAN].Packets - before
		if refused := !c.passes && !c.uncounts; refused != (counted == 1) || counted > 1 {
			t.Errorf("%s: %d counted as refused", c.name, counted)
		}
	}
}

// IPIP is seen by a raw socket, with a device and without: the module may be
// missing.
func TestForgedIPIPIsDroppedAndCounted(t *testing.T) {
	hosts(t)
	s := listen(t, "ip4:4", "0.0.0.0")
	w := linktest.OpenWire(t, "peer9", "eth0")
	p := newPart(t)
	for _, c := range []struct {
		name, outer, to, inner string
		passes, uncounts       bool
	}{
		{name: "a member's", outer: "192.0.2.2", inner: "10.244.2.7", passes: true},
		{name: "a stranger's", outer: "192.0.2.9", inner: "10.244.9.7"},
		{name: "a stranger's with a member's source", outer: "192.0.2.9", inner: "10.244.2.7"},
		{name: "a member's with another member's source", outer: "192.0.2.2", inner: "10.244.3.7"},
		{name: "another tunnel's", outer: "192.0.2.9", inner: "172.16.0.1", passes: true, uncounts: true},
		{name: "to another address", outer: "192.0.2.9", to: "198.51.100.1", inner: "10.244.2.7", passes: true, uncounts: true},
	} {
		if c.to == "" {
			c.to = "192.0.2.1"
		}
		before, arrived := p.Refused()[IPIP].Packets, total(p, IPIP)
		inner := ipv4(addr(c.inner), addr("10.244.1.7"), 17, nil, udp(9, 7000, []byte("hello")))
		w.MustSend(t, ether(mac(2, 1), mac(2, 9), etherTypeIPv4, ipv4(addr(c.outer), addr(c.to), 4, nil, inner)))
		want, wait := netip.Addr{}, mustNotBy
		if c.passes {
			want, wait = addr(c.outer), arrives
		}
		if got := s.got(t, wait); got != want {
			t.Errorf("%s: arrived from %v, want %v", c.name, got, want)
		}
		if counted := p.Refused()[IPIP].Packets - before; (counted == 1) != !c.passes {
			t.Errorf("%s: %d counted as refused", c.name, counted)
		}
		if counted := total(p, IPIP) - arrived; (counted == 1) != (c.passes && !c.uncounts) {
			t.Errorf("%s: %d counted as arrived", c.name, counted)
		}
	}
}

func arrivedBy(p *Part) map[Key]Count {
	arrived, _ := p.Traffic()
	return arrived
}

// What is sent to a member is counted, without a tunnel's headers, and nothing
// else is.
func TestWhatIsSentToAMemberIsCounted(t *testing.T) {
	hosts(t)
	p := newPart(t)
	for to, n := range map[string]int{"10.244.2.7": 3, "10.244.3.7": 1, "10.244.9.7": 2, "192.0.2.2": 4} {
		for range n {
			sendAs(t, 0, "10.244.1.7", to+":7000")
		}
	}
	_, sent := p.Traffic()
	two, three := netip.MustParsePrefix("10.244.2.0/24"), netip.MustParsePrefix("10.244.3.0/24")
	if len(sent) != 2 || sent[two] != (Count{3, 3 * (28 + 5)}) || sent[three] != (Count{1, 28 + 5}) {
		t.Errorf("%+v", sent)
	}
}

// total is how many packets have arrived by a path.
func total(p *Part, path string) (n uint64) {
	for k, c := range arrivedBy(p) {
		if k.Path == path {
			n += c.Packets
		}
	}
	return n
}

// What came by our IPIP device with a source that no lease has, is dropped
// after the tunnel. Any device of that name does for the rule.
func TestSourcesOutsideTheNetworkDoNotComeByIPIP(t *testing.T) {
	hosts(t)
	linktest.Script(t, `
		ip link add flannel.ipip type veth peer name eth1 netns peer9
		ip link set flannel.ipip address 0a:00:00:00:00:01
		ip link set flannel.ipip up
		ip -n peer9 link set eth1 up
		sysctl -qw net.ipv4.conf.flannel/ipip.rp_filter=0`)
	s := listen(t, "udp4", ":7000")
	w := linktest.OpenWire(t, "peer9", "eth1")
	p := newPart(t)
	for from, passes := range map[string]bool{"10.244.2.7": true, "172.16.0.1": false} {
		inner := ipv4(addr(from), addr("10.244.1.7"), 17, nil, udp(9, 7000, []byte("hello")))
		w.MustSend(t, ether(mac(0x0a, 1), mac(2, 9), etherTypeIPv4, inner))
		if got := s.got(t, map[bool]time.Duration{true: arrives, false: mustNotBy}[passes]); got.IsValid() != passes {
			t.Errorf("from %s: %v", from, got)
		}
	}
	if got := p.Refused()[IPIP].Packets; got != 1 {
		t.Errorf("%d counted as refused", got)
	}
}

// Direct packets are marked, and pass Docker's rule in raw PREROUTING by an
// ACCEPT for the mark.
func TestForgedDirectPacketsAreDroppedAndCounted(t *testing.T) {
	hosts(t)
	s := listen(t, "udp4", ":7000")
	w := linktest.OpenWire(t, "peer9", "eth0")
	for _, line := range []string{
		fmt.Sprintf("iptables -t raw -A PREROUTING -d 10.244.1.0/24 -i eth0 -m mark --mark %#x/%#[1]x -j ACCEPT", Mark),
		"iptables -t raw -A PREROUTING -d 10.244.1.7/32 ! -i docker0 -j DROP",
	} {
		linktest.Run(t, line)
	}
	t.Cleanup(func() { linktest.Run(t, "iptables -t raw -F") })
	p := newPart(t)
	for _, c := range []struct {
		name     string
		mac      net.HardwareAddr
		from     string
		passes   bool
		uncounts bool // dropped, by Docker's rule
	}{
		{name: "a member's", mac: mac(2, 2), from: "10.244.2.7", passes: true},
		{name: "the first address", mac: mac(2, 3), from: "10.244.3.0", passes: true},
		{name: "a stranger's", mac: mac(2, 9), from: "10.244.9.7"},
		{name: "a stranger's with a member's source", mac: mac(2, 9), from: "10.244.2.7"},
		{name: "a member's with another member's source", mac: mac(2, 2), from: "10.244.3.7"},
		{name: "a member's from outside the network", mac: mac(2, 2), from: "203.0.113.7", uncounts: true},
	} {
		before, arrived := p.Refused()[Direct].Packets, total(p, Direct)
		packet := ipv4(addr(c.from), addr("10.244.1.7"), 17, nil, udp(9, 7000, []byte("hello")))
		w.MustSend(t, ether(mac(2, 1), c.mac, etherTypeIPv4, packet))
		want, wait := netip.Addr{}, mustNotBy
		if c.passes {
			want, wait = addr(c.from), arrives
		}
		if got := s.got(t, wait); got != want {
			t.Errorf("%s: arrived from %v, want %v", c.name, got, want)
		}
		if counted := p.Refused()[Direct].Packets - before; (counted == 1) != (!c.passes && !c.uncounts) {
			t.Errorf("%s: %d counted as refused", c.name, counted)
		}
		if counted := total(p, Direct) - arrived; (counted == 1) != c.passes {
			t.Errorf("%s: %d counted as arrived", c.name, counted)
		}
	}
}

// The mark is one bit: the others stay as they were.
func TestMarkLeavesOtherBitsAlone(t *testing.T) {
	hosts(t)
	linktest.Script(t, `
		nft add table ip early
		nft add chain ip early p { type filter hook prerouting priority -350 ; }
		nft add rule ip early p meta mark set 0x4ead
		nft add chain ip early q { type filter hook prerouting priority -305 ; }
		nft add rule ip early q meta mark 0x5ead counter
		nft add rule ip early q meta mark 0x4ead counter`)
	t.Cleanup(func() { linktest.Run(t, "nft delete table ip early") })
	s := listen(t, "udp4", ":7000")
	w := linktest.OpenWire(t, "peer9", "eth0")
	newPart(t)
	packet := ipv4(addr("10.244.2.7"), addr("10.244.1.7"), 17, nil, udp(9, 7000, []byte("hello")))
	w.MustSend(t, ether(mac(2, 1), mac(2, 2), etherTypeIPv4, packet))
	if !s.got(t, arrives).IsValid() {
		t.Fatal("nothing arrives")
	}
	if text := linktest.Run(t, "nft list chain ip early q"); !strings.Contains(text, "0x00005ead counter packets 1") {
		t.Errorf("marks: %s", text)
	}
}
