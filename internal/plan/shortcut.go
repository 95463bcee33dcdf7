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

// Why no short-cut is used where it is off.
const (
	ShortcutOff      = "off (--shortcut)"
	ShortcutSwitched = "off (flanneld shortcut off)" // until the next start
	ShortcutSealed   = "off (--sealed)"              // the programs do not seal packets
)

// ShortcutIsOff reports whether the short-cut is off, by why it is not used.
func ShortcutIsOff(why string) bool {
	return why == ShortcutOff || why == ShortcutSwitched || why == ShortcutSealed
}

// WhyShortcutIsOff is why the short-cut is off on this host. A sealed network
// has none; switched: a command has switched it off, and not the settings.
func WhyShortcutIsOff(sealed, switched bool) string {
	switch {
	case sealed:
		return ShortcutSealed
	case switched:
		return ShortcutSwitched
	}
	return ShortcutOff
}

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

// Ways are the candidates of a route, and the short-cut as a way of its own
// before the user path, unless it is switched off. Of the two, the one that
// packets take is Used. The slice may be that of the route: it must not be
// changed.
func (r Route) Ways() []Candidate {
	i := slices.IndexFunc(r.Candidates, func(c Candidate) bool { return c.Path == PathUDP })
	if i < 0 || !r.Candidates[i].Possible || ShortcutIsOff(r.Candidates[i].Shortcut.Why) {
		return r.Candidates
	}
	all := make([]Candidate, len(r.Candidates), len(r.Candidates)+1)
	copy(all, r.Candidates)
	s, user := all[i].Shortcut, &all[i]
	user.Used = user.Used && !s.Used
	one := *user
	one.Path, one.Possible, one.State, one.Used, one.Why = PathShortcut, s.Possible, s.State, s.Used, s.Why
	return slices.Insert(all, i, one)
}

// InUse is the way that packets to the peer take; "" for none.
func (r Route) InUse() Path {
	if r.Shortcut().Used {
		return PathShortcut
	}
	return r.Path
}

// Shortcut is that of a route; zero where the peer has no udp path.
func (r Route) Shortcut() Shortcut {
	c, _ := r.Candidate(PathUDP)
	return c.Shortcut
}
