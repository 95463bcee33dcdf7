// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"bytes"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// A UDP superpacket of a container is left to user space: decapsulation would
// lose how it is cut.
func TestSuperpacketsOfUDPAreLeft(t *testing.T) {
	hosts := twoHosts(t)
	ping(t, "c1", "10.244.2.2")
	sent := hosts[0].part.Total().Sent
	linktest.In(t, "c1", func() error {
		conn, err := net.Dial("udp4", "10.244.2.2:7000")
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := setOption(conn, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000); err != nil {
			return err
		}
		_, err = conn.Write(make([]byte, 10_000))
		return err
	})
	if n := leftBy(hosts[0], egress, "superpacket"); n != 1 {
		t.Errorf("%d superpackets were left, want 1", n)
	}
	if now := hosts[0].part.Total().Sent; now != sent {
		t.Errorf("%v was sent, before %v", now, sent)
	}
}

// setOption sets an option on a socket, such as one of unix.IPPROTO_UDP.
func setOption(conn any, level, option, value int) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), level, option, value) }); err != nil {
		return err
	}
	return failed
}

// A datagram of a peer's user space has a UDP checksum. It reaches the socket,
// and the packet in it is unchanged.
func TestDatagramsOfUserSpaceReachTheSocket(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	socket := linktest.Listen(t, h.name, "udp4", h.config.Endpoint.String())
	peer := linktest.Listen(t, hosts[1].name, "udp4", hosts[1].config.Endpoint.String())
	p := []byte(packettest.Spec{
		Src: "10.244.2.2", Dst: "10.244.1.2", TTL: 63, Protocol: packet.UDP, Payload: packettest.Pattern(100),
	}.Build())
	if _, err := peer.WriteTo(p, net.UDPAddrFromAddrPort(h.config.Endpoint)); err != nil {
		t.Fatal(err)
	}
	if err := socket.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	if n, _, err := socket.ReadFrom(buf); err != nil || !bytes.Equal(buf[:n], p) {
		t.Errorf("the socket got %x, %v; want %x", buf[:n], err, p)
	}
	if n := leftBy(h, ingress, "user-space-peer"); n != 1 {
		t.Errorf("%d datagrams were left, want 1", n)
	}
}

// The kernel joins datagrams for a socket with UDP_GRO before programs see
// them. It leaves datagrams without a checksum alone, as programs send them. So
// user space's socket costs the short-cut nothing where the underlay delivers
// segments one by one.
func TestSocketsWithUDPGROTakeNothingAway(t *testing.T) {
	hosts := twoHosts(t)
	for _, h := range hosts {
		linktest.Run(t, "ip netns exec "+h.name+" ethtool -K eth0 gso off tso off tx-udp_tnl-segmentation off gro on")
		if err := setOption(linktest.Listen(t, h.name, "udp4", h.config.Endpoint.String()), unix.IPPROTO_UDP, unix.UDP_GRO, 1); err != nil {
			t.Fatal(err)
		}
	}
	transfer(t, "c1", "c2", "10.244.2.2", 8<<20)
	transfer(t, "c2", "c1", "10.244.1.2", 8<<20)
	sumsAgree(t, hosts)
}
