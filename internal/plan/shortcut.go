// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"flanneld/peers"
	"flanneld/route"
)

// Shortcut reports whether the kernel carries the udp format to a peer, instead
// of the lanes. Both send the same datagrams, so it is no path of its own.
type Shortcut struct {
	// Possible reports whether this host and the peer both have it.
	Possible bool
	State    ProofState // Unproven where it is not possible
	Used     bool       // packets to the peer take it
	Why      string     // one line: why it is not used; "": it is
}

// ShortcutOff is why no short-cut is used where it is switched off.
const ShortcutOff = "off (--shortcut)"

// shortcutLacking says why a node does not take the short-cut, "" when it does.
func shortcutLacking(caps []peers.Capability) string {
	if takesShortcut(caps) {
		return ""
	}
	return "the node does not take it"
}

// useShortcut uses the short-cut where the udp format is used and probes have
// proven it.
func (r *Route) useShortcut() {
	if r.Kind != route.Via || r.Path != PathUDP {
		return
	}
	i := slices.IndexFunc(r.Candidates, func(c Candidate) bool { return c.Used })
	if s := &r.Candidates[i].Shortcut; s.Possible && s.State == Proven {
		s.Used, s.Why = true, ""
	}
}

// Shortcut is that of a route; zero where the peer has no udp path.
func (r Route) Shortcut() Shortcut {
	c, _ := r.Candidate(PathUDP)
	return c.Shortcut
}
