// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package packetsocket

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
	"flanneld/internal/packet"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// etherA and etherB are the addresses of eth0 of the two hosts, here and there
// their overlay addresses.
var (
	etherA = []byte{2, 0, 0, 0, 0, 0x0a}
	etherB = []byte{2, 0, 0, 0, 0, 0x0b}
	there  = netip.MustParseAddr("10.244.2.0")
)

// hosts makes two hosts, a and b, in namespaces. They are joined by eth0 and by
// a VXLAN device. Host a drops whatever comes for it. No route leads from a to
// the overlay address of b.
func hosts(t testing.TB) {
	t.Helper()
	linktest.Script(t, `
		ip netns add a
		ip netns add b
		ip link add eth0 netns a address 02:00:00:00:00:0a type veth peer name eth0 netns b address 02:00:00:00:00:0b
		ip -n a address add 192.0.2.1/24 dev eth0
		ip -n b address add 192.0.2.2/24 dev eth0
		ip -n a link set eth0 up
		ip -n b link set eth0 up
		ip -n a link set lo up
		ip -n b link set lo up
		ip -n a link add flannel.1 address 02:00:00:00:01:0a type vxlan id 1 dstport 8472 local 192.0.2.1 dev eth0 nolearning
		ip -n b link add flannel.1 address 02:00:00:00:01:0b type vxlan id 1 dstport 8472 local 192.0.2.2 dev eth0 nolearning
		ip -n a address add 10.244.1.0/32 dev flannel.1
		ip -n b address add 10.244.2.0/32 dev flannel.1
		ip -n a link set flannel.1 up
		ip -n b link set flannel.1 up
		bridge -n a fdb add 02:00:00:00:01:0b dev flannel.1 dst 192.0.2.2
		bridge -n b fdb add 02:00:00:00:01:0a dev flannel.1 dst 192.0.2.1
		ip -n b route add 10.244.1.0/24 via 192.0.2.1 dev eth0 src 10.244.2.0
		ip netns exec a nft add table ip t
		ip netns exec a nft add chain ip t pre { type filter hook prerouting priority -500 ; policy drop ; }
		ip netns exec a nft add rule ip t pre udp dport 8472 accept`)
	t.Cleanup(func() { linktest.Script(t, "ip netns delete a\nip netns delete b") })
}

// returnBy chooses the way of answers.
func returnBy(t *testing.T, path string) {
	t.Helper()
	if path == "vxlan" {
		linktest.Script(t, `
			ip -n b neigh replace 10.244.1.0 lladdr 02:00:00:00:01:0a dev flannel.1
			ip -n b route replace 10.244.1.0/24 via 10.244.1.0 dev flannel.1 onlink src 10.244.2.0 mtu 1450`)
	} else {
		linktest.Run(t, "ip -n b route replace 10.244.1.0/24 via 192.0.2.1 dev eth0 src 10.244.2.0")
	}
}

// receive has host a take answers from a device until stop is called.
func receive(t testing.TB, device string, take func(packet []byte)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go linktest.In(t, "a", func() error {
		ended <- Receive(ctx, device, here, take)
		return nil
	})
	time.Sleep(200 * time.Millisecond) // until it listens
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func checksum(b []byte, start uint32) uint16 {
	for ; len(b) > 1; b = b[2:] {
		start += uint32(binary.BigEndian.Uint16(b))
	}
	for start>>16 != 0 {
		start = start>>16 + start&0xffff
	}
	return uint16(start)
}

// header completes the IP header of a packet from a to b.
func header(b []byte, protocol byte) []byte {
	b[0], b[8], b[9] = 0x45, 63, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[6] = 0x40
	copy(b[12:], []byte{10, 244, 1, 0, 10, 244, 2, 0})
	binary.BigEndian.PutUint16(b[10:], ^checksum(b[:ipHeaderLen], 0))
	return b
}

// echo is an echo request of size bytes.
func echo(size int) []byte {
	b := make([]byte, size)
	b[ipHeaderLen] = 8
	binary.BigEndian.PutUint16(b[ipHeaderLen+2:], ^checksum(b[ipHeaderLen:], 0))
	return header(b, 1)
}

// segment is a TCP acknowledgement for a port that no program listens on. Its
// checksum is whole, or the pseudo-header's.
func segment(payload int, acknowledges uint32, whole bool) []byte {
	b := tcp(payload)
	binary.BigEndian.PutUint16(b[ipHeaderLen:], 40000)
	binary.BigEndian.PutUint16(b[ipHeaderLen+2:], 9)
	binary.BigEndian.PutUint32(b[ipHeaderLen+8:], acknowledges)
	b[ipHeaderLen+13] = 0x10
	header(b, protocolTCP)
	sum := checksum(b[12:20], protocolTCP+uint32(tcpHeaderLen+payload))
	if whole {
		sum = ^checksum(b[ipHeaderLen:], uint32(sum))
	}
	binary.BigEndian.PutUint16(b[ipHeaderLen+tcpChecksum:], sum)
	return b
}

func TestPacketsAreAnsweredPastAllFilters(t *testing.T) {
	hosts(t)
	answers := make(chan []byte, 100)
	for _, device := range []string{"eth0", "flannel.1"} {
		defer receive(t, device, func(p []byte) { answers <- append([]byte(device+" "), p...) })()
	}
	var s Sender
	defer s.Close()
	for _, path := range []string{"direct", "vxlan"} {
		device, mtu, b := "eth0", 1500, net.HardwareAddr{2, 0, 0, 0, 0, 0x0b}
		if path == "vxlan" {
			device, mtu, b = "flannel.1", 1450, net.HardwareAddr{2, 0, 0, 0, 1, 0x0b}
		}
		for _, back := range []string{"direct", "vxlan"} {
			returnBy(t, back)
			from := map[string]string{"direct": "eth0", "vxlan": "flannel.1"}[back]
			for name, c := range map[string]struct {
				packet []byte
				o      Offload
				reset  uint32 // 0: an echo reply
			}{
				"small":                {echo(36), Offload{}, 0},
				"full size":            {echo(1450), Offload{}, 0},
				"a segment":            {segment(mtu-40, 1001, true), Offload{}, 1001},
				"without its checksum": {segment(mtu-40, 1002, false), Offload{Checksum: true}, 1002},
				"two segments in one":  {segment(2*(mtu-40), 1003, false), Offload{Checksum: true, Segment: mtu - 40}, 1003},
			} {
				linktest.In(t, "a", func() error { return s.Send(device, b, c.packet, c.o) })
				select {
				case a := <-answers:
					by, p, _ := strings.Cut(string(a), " ")
					if by != from {
						t.Errorf("%s by %s: answered by %s, want %s", name, path, by, from)
					}
					if c.reset == 0 && (p[9] != 1 || p[ipHeaderLen] != 0 || len(p) != len(c.packet)) {
						t.Errorf("%s by %s: answer % x", name, path, p)
					}
					if c.reset != 0 && (p[9] != protocolTCP || binary.BigEndian.Uint32([]byte(p[ipHeaderLen+4:])) != c.reset) {
						t.Errorf("%s by %s: answer % x", name, path, p)
					}
				case <-time.After(2 * time.Second):
					t.Errorf("%s by %s, back by %s: no answer", name, path, back)
				}
				for len(answers) > 0 { // a reset for each segment
					<-answers
				}
			}
		}
	}
	linktest.In(t, "a", func() error {
		if err := s.Send("eth0", macB, echo(1501), Offload{}); !errors.Is(err, ErrTooLong) {
			t.Errorf("a packet that is too long: %v", err)
		}
		if err := s.Send("lo", macB, echo(36), Offload{}); !errors.Is(err, ErrAddress) {
			t.Errorf("by a device without Ethernet: %v", err)
		}
		return nil
	})
}

// IPIP needs no module to send.
func TestIPIPGoesOutByTheHostsRoutes(t *testing.T) {
	hosts(t)
	linktest.Script(t, `
		ip netns exec b nft add table ip t
		ip netns exec b nft add chain ip t pre { type filter hook prerouting priority -500 ; }
		ip netns exec b nft add rule ip t pre ip saddr 192.0.2.1 ip protocol ipencap counter`)
	var s Sender
	defer s.Close()
	linktest.In(t, "a", func() error {
		return s.SendIPIP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), echo(1480))
	})
	time.Sleep(100 * time.Millisecond)
	if rules := linktest.Run(t, "ip netns exec b nft list table ip t"); !strings.Contains(rules, "packets 1 bytes 1500") {
		t.Errorf("host b has not got it:\n%s", rules)
	}
	linktest.In(t, "a", func() error {
		if err := s.SendIPIP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), echo(1481)); !errors.Is(err, ErrTooLong) {
			t.Errorf("a packet that is too long: %v", err)
		}
		return nil
	})
}

// Only what comes in by the device itself may answer. This kernel may have no
// VLAN devices: the tag needs none.
func TestOnlyPacketsThatComeInByTheDeviceAreTaken(t *testing.T) {
	hosts(t)
	taken := make(chan byte, 100)
	stop := receive(t, "eth0", func(p []byte) { taken <- p[ipHeaderLen+4] })
	// reply is an echo reply to a, known by its identifier.
	reply := func(id byte) []byte {
		p := packet.Header{TTL: 64, Protocol: packet.ICMP, Source: there, Destination: here}.Put(make([]byte, 36))
		p[ipHeaderLen], p[ipHeaderLen+4] = packet.ICMPEchoReply, id
		packet.SetICMPChecksum(p[ipHeaderLen:])
		return p
	}
	from := linktest.OpenWire(t, "b", "eth0")
	for _, frame := range [][]byte{
		slices.Concat(etherA, etherB, []byte{0x81, 0, 0x60, 7, 8, 0}, reply(1)), // VLAN 7
		slices.Concat(etherA, etherB, []byte{8, 0}, reply(2)),
		slices.Concat(etherA, etherB, []byte{0x81, 0, 0x60, 0, 8, 0}, reply(3)), // a priority only
	} {
		from.MustSend(t, frame)
	}
	linktest.OpenWire(t, "a", "eth0").MustSend(t, slices.Concat(etherB, etherA, []byte{8, 0}, reply(4)))
	time.Sleep(200 * time.Millisecond)
	stop()
	close(taken)
	var got []byte
	for id := range taken {
		got = append(got, id)
	}
	if want := []byte{2, 3}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
}

// BenchmarkForwarding says what Receive costs packets that it does not take: a
// packet of 64 bytes comes in by its device, and is forwarded to another one.
// One processor does everything, from the sender's system call on.
func BenchmarkForwarding(b *testing.B) {
	hosts(b)
	linktest.Script(b, `
		ip netns exec a nft delete table ip t
		ip netns exec a sysctl -qw net.ipv4.ip_forward=1
		ip -n a link add pod0 type veth peer name pod1
		ip -n a link set pod0 up
		ip -n a link set pod1 up
		ip -n a address add 10.244.1.1/24 dev pod0
		ip -n a neigh add 10.244.1.99 lladdr 02:00:00:00:00:99 dev pod0`)
	frame := slices.Concat(etherA, etherB, []byte{8, 0}, packet.Header{
		TTL: 64, Protocol: packet.UDP, Source: netip.MustParseAddr("10.244.2.7"), Destination: netip.MustParseAddr("10.244.1.99"),
	}.Put(make([]byte, 64)))
	from := linktest.OpenWire(b, "b", "eth0")
	for _, receiver := range []string{"without", "with"} {
		b.Run(receiver, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if receiver == "with" {
				defer receive(b, "eth0", func([]byte) {})()
			}
			for b.Loop() {
				from.MustSend(b, frame)
			}
		})
	}
}

// A device that goes away ends Receive, which can then be called again.
func TestADeletedDeviceEndsReceiving(t *testing.T) {
	hosts(t)
	ended := make(chan error)
	go linktest.In(t, "a", func() error {
		ended <- Receive(t.Context(), "flannel.1", here, func([]byte) {})
		return nil
	})
	time.Sleep(200 * time.Millisecond)
	linktest.Run(t, "ip -n a link delete flannel.1")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("ended without an error")
		}
	case <-time.After(2 * time.Second):
		t.Fatal("goes on without the device")
	}
}
