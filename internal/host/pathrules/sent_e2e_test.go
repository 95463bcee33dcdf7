// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package pathrules

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
)

// A container is behind a bridge, and masqueraded.
const containerTopology = `
	ip netns add container
	sysctl -qw net.ipv4.ip_forward=1
	ip link add docker0 type bridge
	ip addr add 10.244.1.1/24 dev docker0
	ip link set docker0 address 02:00:00:00:00:0d
	ip link set docker0 up
	ip link add veth0 type veth peer name eth0 netns container
	ip link set veth0 master docker0
	ip link set veth0 up
	ip -n container addr add 10.244.1.20/24 dev eth0
	ip -n container link set eth0 up
	ip -n container route add default via 10.244.1.1
	sysctl -qw net.ipv4.conf.docker0.rp_filter=0
	iptables -t nat -A POSTROUTING -s 10.244.1.0/24 -o eth0 -j MASQUERADE
`

func withContainer(t *testing.T) {
	t.Helper()
	hosts(t)
	linktest.Script(t, containerTopology)
	linktest.Teardown(t, "iptables -t nat -F", "ip link delete veth0", "ip link delete docker0", "ip netns delete container")
}

// as runs f as another user, on a thread that is not used again.
func as(uid int, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		unix.SetfsuidRetUid(uid)
		f()
	}()
	<-done
}

// sendAs sends a datagram of this host as a user. The error of a packet that is
// dropped here does not matter: whether it arrives does.
func sendAs(t *testing.T, uid int, from, to string) {
	t.Helper()
	as(uid, func() {
		conn, err := net.ListenPacket("udp4", from+":0")
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = conn.WriteTo([]byte("hello"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	})
}

func waitFor(arrived bool) time.Duration {
	if arrived {
		return arrives
	}
	return mustNotBy
}

// Peer 2's VXLAN device is taken to be at port 7001, so that a socket sees what
// arrives.
func TestContainersAndUsersDoNotPassForThisMember(t *testing.T) {
	withContainer(t)
	tunnel, other := listenIn(t, "peer2", "udp4", ":7001"), listenIn(t, "peer2", "udp4", ":7002")
	p := newPart(t)
	peer := testPeer(2, 24)
	peer.Port = 7001
	p.SetPeers([]Peer{peer})
	ensure(t, p, 0)
	for _, c := range []struct {
		name   string
		send   func(to string)
		passes bool
	}{
		{"root", func(to string) { sendAs(t, 0, "192.0.2.1", to) }, true},
		{"the daemon's user", func(to string) { sendAs(t, 65534, "192.0.2.1", to) }, true},
		{"another user", func(to string) { sendAs(t, 1000, "192.0.2.1", to) }, false},
		{"a container", func(to string) { datagram(t, "container", "10.244.1.20", to) }, false},
	} {
		before := p.Refused()[Sent].Packets
		c.send("192.0.2.2:7001")
		if got := tunnel.got(t, waitFor(c.passes)); got.IsValid() != c.passes {
			t.Errorf("%s to the VXLAN port: %v", c.name, got)
		}
		if counted := p.Refused()[Sent].Packets - before; (counted == 1) == c.passes {
			t.Errorf("%s: %d counted as refused", c.name, counted)
		}
		c.send("192.0.2.2:7002")
		if got := other.got(t, arrives); got != addr("192.0.2.1") {
			t.Errorf("%s to another port: %v", c.name, got)
		}
	}
}

// What goes through the device passes, whichever program sends it: the outer
// packet has the socket of the inner one, or none.
func TestUsersAndContainersReachPeersThroughTheDevice(t *testing.T) {
	withContainer(t)
	s := listenIn(t, "peer2", "udp4", "10.244.2.7:7000")
	p := newPart(t)
	for name, send := range map[string]func(){
		"root":         func() { sendAs(t, 0, "10.244.1.7", "10.244.2.7:7000") },
		"another user": func() { sendAs(t, 1000, "10.244.1.7", "10.244.2.7:7000") },
		"a container":  func() { datagram(t, "container", "10.244.1.20", "10.244.2.7:7000") },
	} {
		send()
		if got := s.got(t, arrives); !got.IsValid() {
			t.Errorf("nothing arrives from %s", name)
		}
	}
	if got := p.Refused()[Sent].Packets; got > 0 {
		t.Errorf("%d packets refused", got)
	}
}

func TestContainersDoNotSendIPIPToMembers(t *testing.T) {
	withContainer(t)
	member, stranger := listenIn(t, "peer2", "ip4:4", "192.0.2.2"), listenIn(t, "peer9", "ip4:4", "192.0.2.9")
	p := newPart(t)
	inner := ipv4(addr("10.244.1.99"), addr("10.244.2.7"), 17, nil, udp(9, 7000, []byte("hello")))
	for to, c := range map[string]struct {
		s      service
		passes bool
	}{"192.0.2.2": {member, false}, "192.0.2.9": {stranger, true}} {
		before := p.Refused()[Sent].Packets
		conn := listenIn(t, "container", "ip4:4", "10.244.1.20")
		if _, err := conn.WriteTo(inner, &net.IPAddr{IP: net.ParseIP(to)}); err != nil {
			t.Fatal(err)
		}
		if got := c.s.got(t, waitFor(c.passes)); got.IsValid() != c.passes {
			t.Errorf("to %s: %v", to, got)
		}
		if counted := p.Refused()[Sent].Packets - before; (counted == 1) == c.passes {
			t.Errorf("to %s: %d counted as refused", to, counted)
		}
	}
}

// A container that forges a member's address reaches no tunnel of its own host.
func TestTunnelsTakeNothingFromContainers(t *testing.T) {
	withContainer(t)
	s, raw := listen(t, "udp4", ":7000"), listen(t, "ip4:4", "192.0.2.1")
	w := linktest.OpenWire(t, "container", "eth0")
	inner := ipv4(addr("10.244.2.7"), addr("10.244.1.7"), 17, nil, udp(9, 7000, []byte("hello")))
	frame := vxlanHeader(1, ether(mac(0x0a, 1), mac(0x0a, 2), etherTypeIPv4, inner))
	for _, checked := range []bool{false, true} {
		refused := func(string) uint64 { return 0 }
		if checked {
			p := newPart(t)
			refused = func(path string) uint64 { return p.Refused()[path].Packets }
		}
		for _, to := range []string{"192.0.2.1", "10.244.1.1"} {
			w.MustSend(t, ether(mac(2, 0x0d), mac(2, 2), etherTypeIPv4, ipv4(addr("192.0.2.2"), addr(to), 17, nil, udp(4000, 8472, frame))))
			if got := s.got(t, waitFor(!checked)); got.IsValid() == checked {
				t.Errorf("VXLAN to %s, checked %t: %v", to, checked, got)
			}
		}
		w.MustSend(t, ether(mac(2, 0x0d), mac(2, 2), etherTypeIPv4, ipv4(addr("192.0.2.2"), addr("192.0.2.1"), 4, nil, inner)))
		if got := raw.got(t, waitFor(!checked)); got.IsValid() == checked {
			t.Errorf("IPIP, checked %t: %v", checked, got)
		}
		if checked && (refused(VXLAN) != 2 || refused(IPIP) != 1) {
			t.Errorf("%d and %d counted as refused", refused(VXLAN), refused(IPIP))
		}
	}
}
