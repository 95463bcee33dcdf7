// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
)

// A packet crosses two hosts and the datagram between them: its type of service
// arrives as it was sent, also on the underlay, and its time to live is less by
// the two hosts and flanneld. A mark of congestion that the underlay sets
// arrives where the transport understands it. Otherwise the packet is left to
// user space, which drops it.
func TestFieldsOfPackets(t *testing.T) {
	hosts := hostsOn(t, func() {
		t.Cleanup(func() { linktest.Try("ip netns delete r") })
		linktest.Script(t, strings.ReplaceAll(narrowTopology, "mtu 1400", ""))
	})
	receiver := linktest.Listen(t, "c2", "udp4", "10.244.2.2:7000")
	sender := linktest.Listen(t, "c1", "udp4", "10.244.1.2:7000")
	set := func(conn net.PacketConn, option, value int) {
		if err := setOption(conn, unix.IPPROTO_IP, option, value); err != nil {
			t.Fatal(err)
		}
	}
	set(receiver, unix.IP_RECVTOS, 1)
	set(receiver, unix.IP_RECVTTL, 1)
	set(sender, unix.IP_TTL, 60)
	linktest.Script(t, `
		ip netns exec r nft add table ip wire
		ip netns exec r nft add chain ip wire in { type filter hook forward priority 0 ; }`)
	const lower = 3 // two hosts, and what wraps the packet
	for i, c := range []struct {
		tos    int
		marked bool
		want   int // -1: dropped
	}{
		{0, false, 0}, {0xb8, false, 0xb8}, {0x28 | 1, false, 0x29}, {2, false, 2}, {0xff, false, 0xff},
		{0xb8 | 2, true, 0xbb}, {0x28 | 1, true, 0x2b}, {3, true, 3}, {0xb8, true, -1},
	} {
		linktest.Run(t, "ip netns exec r nft flush chain ip wire in")
		linktest.Run(t, fmt.Sprintf("ip netns exec r nft add rule ip wire in udp dport 8285 @nh,8,8 %d counter", c.tos))
		if c.marked {
			linktest.Run(t, "ip netns exec r nft add rule ip wire in udp dport 8285 ip ecn set ce")
		}
		carried, left := hosts[1].part.Total().Received.Packets, leftBy(hosts[1], ingress, "congestion")
		set(sender, unix.IP_TOS, c.tos)
		if _, err := sender.WriteTo([]byte{byte(i)}, receiver.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		tos, ttl := readFields(t, receiver, c.want >= 0)
		if tos != c.want || c.want >= 0 && ttl != 60-lower {
			t.Errorf("%#x, marked %t: it arrived with %#x and time to live %d, want %#x and %d", c.tos, c.marked, tos, ttl, c.want, 60-lower)
		}
		now := [2]uint64{hosts[1].part.Total().Received.Packets - carried, leftBy(hosts[1], ingress, "congestion") - left}
		if want := map[bool][2]uint64{true: {1, 0}, false: {0, 1}}[c.want >= 0]; now != want {
			t.Errorf("%#x, marked %t: %d carried and left, want %d", c.tos, c.marked, now, want)
		}
		if rules := linktest.Run(t, "ip netns exec r nft list chain ip wire in"); !strings.Contains(rules, "counter packets 1 ") {
			t.Errorf("%#x: the datagram has another type of service:\n%s", c.tos, rules)
		}
	}
}

// readFields reads a datagram, if one is to come: its type of service and time
// to live; -1: none came.
func readFields(t *testing.T, conn net.PacketConn, comes bool) (tos, ttl int) {
	t.Helper()
	wait := 200 * time.Millisecond
	if comes {
		wait = 5 * time.Second
	}
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	oob := make([]byte, 200)
	_, n, _, _, err := conn.(*net.UDPConn).ReadMsgUDP(make([]byte, 100), oob)
	if err != nil {
		return -1, -1
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		switch m.Header.Type {
		case unix.IP_TOS:
			tos = int(m.Data[0])
		case unix.IP_TTL:
			ttl = int(m.Data[0])
		}
	}
	return tos, ttl
}
