// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// A router between the hosts, with a narrower link behind it.
const narrowTopology = `
	ip netns add r
	ip -n r link set lo up
	ip netns exec r sysctl -qw net.ipv4.ip_forward=1
	ip -n h1 link add eth0 type veth peer name eth1 netns r
	ip -n h2 link add eth0 type veth peer name eth2 netns r
	ip -n h1 address add 192.0.2.1/32 dev eth0
	ip -n h2 address add 192.0.2.2/32 dev eth0
	ip -n r address add 192.0.2.254/32 dev eth1
	ip -n h1 link set eth0 up
	ip -n h2 link set eth0 mtu 1400 up
	ip -n r link set eth1 up
	ip -n r link set eth2 mtu 1400 up
	ip -n r route add 192.0.2.1 dev eth1
	ip -n r route add 192.0.2.2 dev eth2
	ip -n h1 route add 192.0.2.254 dev eth0
	ip -n h2 route add 192.0.2.254 dev eth0
	ip -n h1 route add 192.0.2.2 via 192.0.2.254
	ip -n h2 route add 192.0.2.1 via 192.0.2.254
`

// A router's answer about a datagram that is too long reaches the kernel's
// memory of paths, though no socket has sent the datagram. From then on long
// packets are left to user space, which answers the container.
func TestNarrowPathsAreLearned(t *testing.T) {
	for what, port := range map[string]uint16{"peer with the same port": 8285, "peer with another port": 9000} {
		t.Run(what, func(t *testing.T) { narrowPath(t, port) })
	}
}

func narrowPath(t *testing.T, port uint16) {
	hosts := hostsOn(t, func() {
		t.Cleanup(func() { linktest.Try("ip netns delete r") })
		linktest.Script(t, narrowTopology)
	})
	peer := hosts[0].peer()
	peer.Endpoint = netip.AddrPortFrom(peer.Endpoint.Addr(), port)
	hosts[1].config.Endpoint = peer.Endpoint
	hosts[1].part.Want(&hosts[1].config)
	hosts[0].part.Update([]Peer{peer}, nil)
	for _, h := range hosts {
		h.ensure(t)
	}
	linktest.Listen(t, "h1", "udp4", "192.0.2.1:8285") // user space's
	left := func() uint64 { return leftBy(hosts[0], egress, "path") }
	ping(t, "c1", "10.244.2.2")
	if n := left(); n > 0 {
		t.Fatalf("%d short packets were left to user space", n)
	}
	linktest.Try("ip netns exec c1 ping -q -n -c 1 -W 0.2 -M do -s 1400 10.244.2.2")
	if n := left(); n > 0 {
		t.Fatalf("%d packets were left before the path was known", n)
	}
	learned := ""
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !strings.Contains(learned, "mtu 1400"); {
		learned = linktest.Run(t, "ip -n h1 route get 192.0.2.2")
	}
	if !strings.Contains(learned, "mtu 1400") {
		t.Fatalf("the path's MTU was not learned: %s", learned)
	}
	linktest.Try("ip netns exec c1 ping -q -n -c 1 -W 0.2 -M do -s 1400 10.244.2.2")
	if n := left(); n != 1 {
		t.Errorf("%d long packets were left to user space, want 1", n)
	}
	ping(t, "c1", "10.244.2.2")
}

// quoted is an ICMP error about a datagram of host 1, as it arrives there.
type quoted struct {
	kind, protocol byte   // 0: unreachable, UDP
	offset         uint16 // of a fragment
	from, to       string // ends of the quoted datagram
	check          uint16 // its UDP checksum
	inner          string // destination of the packet in it; "": not quoted
}

func (q quoted) frame() []byte {
	from, to := netip.MustParseAddrPort(q.from), netip.MustParseAddrPort(q.to)
	var inner []byte
	if q.inner != "" {
		inner = packettest.Spec{Src: "10.244.1.5", Dst: q.inner, Payload: packettest.Pattern(1300)}.Build()
	}
	datagram := datagram(from, to, 0, inner)[14:]
	datagram[9] = max(q.protocol, packet.UDP)
	binary.BigEndian.PutUint16(datagram[26:], q.check)
	message := append([]byte{max(q.kind, 3), 4, 0, 0, 0, 0, 5, 120}, datagram[:min(len(datagram), 548)]...)
	binary.BigEndian.PutUint16(message[2:], packet.Checksum(message))
	whole := packettest.Spec{Src: "192.0.2.254", Dst: "192.0.2.1", Protocol: packet.ICMP, Flags: q.offset, Payload: message}.Build()
	return append([]byte{12: 0x08, 13: 0}, whole...)
}

// Only errors about datagrams of the egress program are changed: from a source
// port of it, without a checksum, and to the endpoint of the peer that the
// packet in it is for. All others come from sockets and containers, and stay as
// they are. A quote that ends before the packet has to name our port at both
// ends.
func TestErrorsOfOtherProgramsStayAsTheyAre(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	h.part.Update(peersOfTest, nil)
	const source, at = "192.0.2.1:61500", 14 + 20 + 8 + 20 // the quoted source port
	for what, c := range map[string]struct {
		quoted
		ours bool
	}{
		"to a peer":               {quoted{from: source, to: "192.0.2.2:8285", inner: "10.244.2.5"}, true},
		"to another port":         {quoted{from: source, to: "192.0.2.2:9000", inner: "10.244.5.5"}, true},
		"short quote":             {quoted{from: source, to: "192.0.2.2:8285"}, true},
		"short, another port":     {quoted{from: source, to: "192.0.2.2:9000"}, false},
		"port of another peer":    {quoted{from: source, to: "192.0.2.2:9000", inner: "10.244.2.5"}, false},
		"address of no peer":      {quoted{from: source, to: "192.0.2.9:8285", inner: "10.244.2.5"}, false},
		"packet to no peer":       {quoted{from: source, to: "192.0.2.2:8285", inner: "10.244.9.9"}, false},
		"no packet in it":         {quoted{from: source, to: "192.0.2.2:8285", inner: "203.0.113.7"}, false},
		"port of sockets":         {quoted{from: "192.0.2.1:61439", to: "192.0.2.2:8285", inner: "10.244.2.5"}, false},
		"with a checksum":         {quoted{from: source, to: "192.0.2.2:8285", inner: "10.244.2.5", check: 1}, false},
		"of a forwarded datagram": {quoted{from: "192.0.2.7:61500", to: "192.0.2.2:8285", inner: "10.244.2.5"}, false},
		"another protocol":        {quoted{from: source, to: "192.0.2.2:8285", inner: "10.244.2.5", protocol: 47}, false},
		"another kind":            {quoted{from: source, to: "192.0.2.2:8285", inner: "10.244.2.5", kind: 11}, false},
		"fragment":                {quoted{from: source, to: "192.0.2.2:8285", inner: "10.244.2.5", offset: 100}, false},
	} {
		frame := c.frame()
		_, out, err := h.part.programs.loaded.Ingress.Test(slices.Clone(frame))
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(frame)
		if c.ours {
			binary.BigEndian.PutUint16(want[at:], 8285)
			message := want[34:]
			message[2], message[3] = 0, 0
			binary.BigEndian.PutUint16(message[2:], packet.Checksum(message))
		}
		if !bytes.Equal(out, want) {
			t.Errorf("%s: %x became %x, want %x", what, frame[34:90], out[34:90], want[34:90])
		}
	}
}
