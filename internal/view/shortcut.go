// SPDX-License-Identifier: Apache-2.0

package view

import (
	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/host/shortcut"
	"flanneld/internal/plan"
)

// Shortcut is what this host has of the short-cut.
type Shortcut struct {
	On       bool
	Switched bool // it is off, by `flanneld shortcut off`
	State    shortcut.State
	Left     map[string]uint64 // packets that were left to user space, by reason
}

// shortcut says what this host has of the short-cut, and how many peers it
// leads to.
func (v *View) shortcut() control.Shortcut {
	out := control.Shortcut{Setting: control.ShortcutOff, Why: plan.WhyShortcutIsOff(v.cfg().Sealed, false), Left: map[string]uint64{}, Notes: []string{}}
	if v.HostShortcut == nil {
		return out
	}
	s, sum := v.HostShortcut(), v.Totals.Carried.All()
	out.Why = plan.WhyShortcutIsOff(v.cfg().Sealed, s.Switched)
	out.Egress, out.Ingress = control.Traffic(sum.Egress), control.Traffic(sum.Ingress)
	if s.Left != nil {
		out.Left = s.Left
	}
	if !s.On {
		return out
	}
	out.Setting, out.Ready, out.Why, out.Notes = control.ShortcutAuto, s.State.Ready, s.State.Why, append(out.Notes, s.State.Notes...)
	out.Pinned = s.State.Ready
	for _, r := range v.Routes.Plan().Routes {
		if r.Shortcut().Used {
			out.Peers++
		}
	}
	return out
}

// bringUpToDate adds to all counters what the kernel has carried meanwhile.
func (v *View) bringUpToDate() {
	if v.Count != nil {
		v.Count()
	}
}

// nodeShortcut reports whether packets to a peer take the short-cut.
func (v *View) nodeShortcut(r plan.Route, probes prober) control.NodeShortcut {
	s := r.Shortcut()
	out := control.NodeShortcut{Used: s.Used, State: proofStates[s.State], Why: s.Why}
	flow := dataplane.Flow{}
	if v.Totals != nil {
		flow = v.Totals.Carried.Of(r.Prefix)
	}
	out.Egress, out.Ingress = control.Traffic(flow.Egress), control.Traffic(flow.Ingress)
	if !s.Possible {
		out.State = control.PathImpossible
		return out
	}
	if probes == nil {
		return out
	}
	if result, known := probes.Result(r.ID, plan.PathShortcut); known {
		out.RTT, out.Sent, out.Lost = control.SecondsOf(result.RTT), result.Sent, result.Lost
	}
	return out
}
