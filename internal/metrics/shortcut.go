// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"

	"flanneld/internal/control"
)

var (
	shortcutReady   = gauge("shortcut_ready", "Whether this host has the short-cut (1) or not (0).")
	shortcutPeers   = gauge("shortcut_peers", "Peers that packets reach by the short-cut now.")
	shortcutPackets = counter("shortcut_packets_total", "Packets of path udp that the kernel has carried.", "direction")
	shortcutBytes   = counter("shortcut_bytes_total", "Bytes of these packets, without outer headers.", "direction")
	shortcutLeft    = counter("shortcut_left_packets_total", "Packets that were left to user space.", "direction", "reason")
)

func (c *collector) collectShortcut(s sink, n control.Shortcut) {
	s.putBool(shortcutReady, n.Ready)
	s.put(shortcutPeers, float64(n.Peers))
	for direction, t := range map[string]control.Traffic{"egress": n.Egress, "ingress": n.Ingress} {
		s.put(shortcutPackets, float64(t.Packets), direction)
		s.put(shortcutBytes, float64(t.Bytes), direction)
	}
	for kind, count := range n.Left {
		direction, reason, _ := strings.Cut(kind, "-")
		s.put(shortcutLeft, float64(count), direction, reason)
	}
}
