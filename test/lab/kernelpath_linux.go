// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"strings"
	"time"
)

// KernelPath is the route by which this host's kernel carries packets to the
// lease of a peer, without flanneld, as ip prints it; "" where flanneld carries
// them. Routes of flanneld have a protocol number of their own.
func (h *Host) KernelPath(peer *Host) string {
	h.lab.t.Helper()
	out := h.Exec(h.lab.t, "ip", "-o", "route", "show", "proto", "85", peer.Lease().String())
	return strings.TrimSpace(out)
}

// WaitKernelPath waits until this host's kernel carries packets to a peer, by a
// route that has all the words.
func (h *Host) WaitKernelPath(peer *Host, limit time.Duration, words ...string) {
	h.lab.t.Helper()
	Eventually(h.lab.t, limit, fmt.Sprintf("%s: a kernel path to %s with %q", h.NodeName, peer.NodeName, words), func() error {
		route := h.KernelPath(peer)
		if route == "" {
			return fmt.Errorf("flanneld carries the packets")
		}
		for _, word := range words {
			if !strings.Contains(" "+route+" ", word) {
				return fmt.Errorf("the route is %q", route)
			}
		}
		return nil
	})
}

// WaitKernelPaths is [Host.WaitKernelPath] from each host to every other one.
func WaitKernelPaths(hosts []*Host, limit time.Duration, words ...string) {
	for _, from := range hosts {
		from.lab.t.Helper()
		for _, to := range hosts {
			if from != to {
				from.WaitKernelPath(to, limit, words...)
			}
		}
	}
}

// WaitUserPath waits until flanneld carries packets to a peer itself.
func (h *Host) WaitUserPath(peer *Host, limit time.Duration) {
	h.lab.t.Helper()
	Eventually(h.lab.t, limit, fmt.Sprintf("%s: packets to %s through flanneld", h.NodeName, peer.NodeName), func() error {
		route := h.KernelPath(peer)
		return Expect(route == "", "the kernel carries them: %s", route)
	})
}
