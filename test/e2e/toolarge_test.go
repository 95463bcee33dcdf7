// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"flanneld/test/lab"
)

// A static peer has a device with a larger MTU than ours, and sends packets
// that are too large for ours. Its container learns the length that arrives.
func TestContainersOfALargerPeerLearnTheMTU(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--static-peer", "10.244.200.0/24=192.168.50.12:8285", "--mtu", "1400")
	speaker := l.Host().StartSpeaker(netip.MustParsePrefix("10.244.200.0/24"), 8285)
	pod := h1.Pod()
	theirs := at(netip.MustParseAddr("10.244.200.7"), 1000)
	packet := lab.UDPPacket(theirs, at(pod.Addr, 7000), make([]byte, 1401-28))
	packet[6] |= 0x40 // don't fragment
	lab.FixChecksum(packet)
	lab.Eventually(t, ready, "an ICMP message about the MTU", func() error {
		if err := speaker.Send(packet, at(h1.Addr, 8285)); err != nil {
			return err
		}
		for _, p := range speaker.Received() {
			if len(p) < 28 || p[9] != 1 || p[20] != 3 || p[21] != 4 {
				continue
			}
			if mtu := binary.BigEndian.Uint16(p[26:]); mtu != 1400 || [4]byte(p[16:20]) != theirs.Addr().As4() {
				t.Errorf("MTU %d, in %x", mtu, p[:28])
			}
			return nil
		}
		_, reasons := dropped(h1)
		return lab.Expect(false, "%d packets came, drops %v", len(speaker.Received()), reasons)
	})
	if n := dropCount(h1, "ingress-too-large"); n == 0 {
		t.Error("nothing counted as too large")
	}
}

// dropCount is how many packets a host has dropped for a reason.
func dropCount(h *lab.Host, reason string) uint64 {
	_, reasons := dropped(h)
	return reasons[reason]
}
