// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"
	"time"

	"flanneld/test/lab"
)

// shortcutted makes a lab with two hosts that have proven the short-cut to each
// other, and a pod on each.
func shortcutted(t *testing.T, args ...string) (p1, p2 *lab.Pod) {
	t.Helper()
	_, h1, h2 := duo(t, append(args, "--shortcut", "auto")...)
	p1, p2 = h1.Pod(), h2.Pod()
	lab.WaitShortcuts(proven, h1, h2)
	return p1, p2
}

// kernelCarried is what the kernel has carried for a host, and what all have.
func kernelCarried(h *lab.Host) (kernel, all lab.Traffic) {
	s := h.Status()
	return lab.Traffic{Packets: s.Shortcut.Egress.Packets + s.Shortcut.Ingress.Packets, Bytes: s.Shortcut.Egress.Bytes + s.Shortcut.Ingress.Bytes},
		lab.Traffic{Packets: s.Egress.Packets + s.Ingress.Packets, Bytes: s.Egress.Bytes + s.Ingress.Bytes}
}

// Superpackets and small packets, both ways: the kernel carries them, and the
// counters add up.
func TestTheKernelCarriesPackets(t *testing.T) {
	t.Parallel()
	p1, p2 := shortcutted(t)
	for _, way := range [][2]*lab.Pod{{p1, p2}, {p2, p1}} {
		from, to := way[0], way[1]
		kernel, all := kernelCarried(from.Host)
		if got := lab.SendTCP(t, from.Namespace, to.Namespace, at(to.Addr, 7000), 16<<20); got.Source != from.Addr {
			t.Errorf("%v arrived as %v", from.Addr, got.Source)
		}
		if got := lab.SendUDP(t, from.Namespace, to.Namespace, at(to.Addr, 7002), 100, 64); got.Source != from.Addr {
			t.Errorf("%v arrived as %v", from.Addr, got.Source)
		}
		now, sum := kernelCarried(from.Host)
		now.Packets -= kernel.Packets
		now.Bytes -= kernel.Bytes
		sum.Packets -= all.Packets
		sum.Bytes -= all.Bytes
		t.Logf("%s: %+v of %+v by the kernel; left: %v", from.Host.NodeName, now, sum, from.Host.Status().Shortcut.Left)
		if now.Bytes < 16<<20 || now.Packets < 16<<20/1472+200 || sum.Bytes < now.Bytes || sum.Bytes-now.Bytes > 1<<20 {
			t.Errorf("%s: the kernel carried %+v, all is %+v", from.Host.NodeName, now, sum)
		}
		well(t, from.Host, time.Second)
	}
}
