// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"time"
)

// Shortcut is what a host has of the short-cut in the kernel.
type Shortcut struct {
	Setting string            `json:"setting"`
	Ready   bool              `json:"ready"`
	Why     string            `json:"why"`
	Pinned  bool              `json:"pinned"`
	Peers   int               `json:"peers"`
	Egress  Traffic           `json:"egress"`
	Ingress Traffic           `json:"ingress"`
	Left    map[string]uint64 `json:"left_to_user_space"`
	Notes   []string          `json:"notes"`
}

// NodeShortcut reports whether packets to a node take the short-cut.
type NodeShortcut struct {
	Used    bool    `json:"used"`
	State   string  `json:"state"`
	Why     string  `json:"why"`
	Egress  Traffic `json:"egress"`
	Ingress Traffic `json:"ingress"`
}

// Shortcut reports whether packets from the host to a peer take the short-cut.
func (h *Host) Shortcut(peer *Host) (NodeShortcut, error) {
	nodes, err := h.Nodes()
	if err != nil {
		return NodeShortcut{}, err
	}
	for _, p := range nodes.Find(peer.NodeName).Paths {
		if p.Name == "udp" {
			return p.Shortcut, nil
		}
	}
	return NodeShortcut{}, fmt.Errorf("%s has no udp path to %s", h.NodeName, peer.NodeName)
}

// WaitShortcut waits until packets from the host to a peer take the short-cut,
// or take it no more.
func (h *Host) WaitShortcut(peer *Host, used bool, limit time.Duration) {
	h.lab.t.Helper()
	Eventually(h.lab.t, limit, fmt.Sprintf("the short-cut from %s to %s: %t", h.NodeName, peer.NodeName, used), func() error {
		s, err := h.Shortcut(peer)
		if err != nil {
			return err
		}
		return Expect(s.Used == used, "%+v; %+v", s, h.Status().Shortcut)
	})
}

// WaitShortcuts waits until packets between all hosts take the short-cut.
func WaitShortcuts(limit time.Duration, hosts ...*Host) {
	for _, a := range hosts {
		a.lab.t.Helper()
		for _, b := range hosts {
			if a != b {
				a.WaitShortcut(b, true, limit)
			}
		}
	}
}
