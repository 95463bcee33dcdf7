// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// A host that runs flannel's udp backend gets one whole packet in each
// datagram, whatever flanneld was given in one piece. What it sends arrives.
// The test checks all that crosses its wire.
func TestPlainPeerGetsAndSendsSingleDatagrams(t *testing.T) {
	t.Parallel()
	extremes(t, plainPeerGetsAndSendsSingleDatagrams)
}

func plainPeerGetsAndSendsSingleDatagrams(t *testing.T, offload string) {
	const mtu, size = 1472, 4 << 20
	pod, peer, remote, wire := behindAPlainWire(t, offload)
	lab.SendTCP(t, pod.Namespace, peer.Namespace, at(remote, 7000), size)
	lab.SendTCP(t, peer.Namespace, pod.Namespace, at(pod.Addr, 7000), size)
	lab.SendUDP(t, pod.Namespace, peer.Namespace, at(remote, 7001), 20, mtu-28)
	lab.SendUDP(t, pod.Namespace, peer.Namespace, at(remote, 7001), 20, 9000) // fragments
	sendTrain(t, pod, at(remote, 7002), 20, 1000)
	pod.Reachable(t, remote, ready)

	host := pod.Host.Addr
	lab.Eventually(t, ready, "all packets to be captured", func() error {
		there, back, train := 0, 0, 0
		for _, frame := range wire.Frames() {
			packet := frame[14:]
			if err := lab.CheckPacket(packet); err != nil {
				t.Fatalf("a frame of %d bytes: %v: %x", len(frame), err, packet[:28])
			}
			inner := packet[28:]
			if err := lab.CheckPacket(inner); err != nil || len(inner) > mtu {
				t.Fatalf("a datagram of %d bytes is no packet that fits: %v", len(inner), err)
			}
			if netip.AddrFrom4([4]byte(packet[12:])) == host {
				there++
				checkFlanneldsDatagram(t, packet, inner)
				if inner[9] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(inner[22:]) == 7002 && len(inner) == 1028 {
					train++
				}
			} else {
				back++
			}
		}
		const each = size / (mtu - 40)
		return lab.Expect(there > each && back > each && train == 20,
			"%d datagrams to the peer, %d from it, %d of the train", there, back, train)
	})
}

// behindAPlainWire makes a pod and a plain peer, and captures what the
// latter gets and sends: as a wire has it.
func behindAPlainWire(t *testing.T, offload string) (pod *lab.Pod, peer *lab.Host, remote netip.Addr, wire *lab.Capture) {
	t.Helper()
	remote = netip.MustParseAddr("10.244.200.9")
	l, h1 := founder(t, "--offload", offload, "--static-peer", "10.244.200.0/24=192.168.50.12:8285")
	peer = l.Host()
	peer.StartPlain(remote, 1472, at(h1.Addr, 8285))
	pod = h1.Pod()
	pod.Reachable(t, remote, ready)
	// No device on the way cuts trains or fills in checksums.
	for _, h := range l.Hosts() {
		h.Exec(t, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off")
	}
	return pod, peer, remote, peer.Capture(t, "eth0", "udp port 8285")
}

// checkFlanneldsDatagram looks at what only flanneld decides: a checksum
// outside and inside, no fragments outside.
func checkFlanneldsDatagram(t *testing.T, outer, inner []byte) {
	t.Helper()
	if flags := binary.BigEndian.Uint16(outer[6:]); flags != 0x4000 {
		t.Fatalf("flags and offset %#x outside, not DF alone", flags)
	}
	if binary.BigEndian.Uint16(outer[26:]) == 0 {
		t.Fatal("no UDP checksum outside")
	}
	first := binary.BigEndian.Uint16(inner[6:])&0x3fff == 0
	if first && inner[9] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(inner[26:]) == 0 {
		t.Fatal("a UDP checksum that the kernel had left to us was left out")
	}
}

// sendTrain sends datagrams that the pod's kernel leaves in one piece.
func sendTrain(t *testing.T, from *lab.Pod, to netip.AddrPort, count, size int) {
	t.Helper()
	source := from.ListenUDP(t, at(from.Addr, 0))
	defer source.Close()
	setOption(t, source, unix.IPPROTO_UDP, unix.UDP_SEGMENT, size)
	if _, err := source.WriteToUDPAddrPort(make([]byte, count*size), to); err != nil {
		t.Fatal(err)
	}
}
