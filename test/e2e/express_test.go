// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// Both hosts classify a stream, with its acknowledgments, as bulk, and pings as
// sparse. This test includes the kernel's part. Packets of a flow come out of
// the queue through which the answers were written. The parity of the source
// port selects the socket.
func TestStreamsMakeWayForPings(t *testing.T) {
	t.Parallel()
	extremes(t, streamsMakeWayForPings)
}

func streamsMakeWayForPings(t *testing.T, offload string) {
	const size = 8 << 20
	_, h1, h2 := duo(t, "--offload", offload, "--shortcut", "off") // lanes are under test
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, ready)
	wire := h2.Capture(t, "eth0", "udp dst port 8285")
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), size)
	lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000), size)
	const pings = 10
	for range pings {
		p1.Reachable(t, p2.Addr, ready)
	}
	// TCP both ways, with and without a payload; ICMP both ways.
	type kind struct {
		from     byte // last of the host's address
		protocol byte
		data     bool
	}
	lab.Eventually(t, ready, "all packets to be captured", func() error {
		express, others := make(map[kind]int), make(map[kind]int)
		for _, frame := range wire.Frames() {
			outer := frame[14:]
			inner := outer[28:]
			k := kind{outer[15], inner[9], inner[9] == unix.IPPROTO_TCP && len(inner) > 20+int(inner[32]>>4)*4}
			if binary.BigEndian.Uint16(outer[20:])%2 == 0 {
				express[k]++
			} else {
				others[k]++
			}
		}
		for _, h := range []*lab.Host{h1, h2} {
			from := h.Addr.As4()[3]
			ping, data, ack := kind{from, unix.IPPROTO_ICMP, false}, kind{from, unix.IPPROTO_TCP, true}, kind{from, unix.IPPROTO_TCP, false}
			if express[ping] < pings || others[ping] > 0 {
				return lab.Expect(false, "pings from %s: %d express, %d not", h.Name, express[ping], others[ping])
			}
			for name, k := range map[string]kind{"data": data, "acknowledgments": ack} {
				if n := others[k]; n < 20 || express[k] > n/4 {
					return lab.Expect(false, "%s from %s: %d express, %d not", name, h.Name, express[k], n)
				}
			}
		}
		return nil
	})
}
