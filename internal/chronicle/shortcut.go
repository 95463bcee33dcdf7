// SPDX-License-Identifier: Apache-2.0

package chronicle

import (
	"fmt"

	"flanneld/internal/control"
	"flanneld/internal/plan"
)

// Shortcuts follows the short-cut: whether this host has it, and to which peers
// it leads. The zero value has none. It is not safe for concurrent use.
type Shortcuts struct {
	ready bool
	used  map[string]bool // by plan.Route.ID
}

// Host takes whether this host has the short-cut now, and else why not.
func (s *Shortcuts) Host(ready bool, why string) (events []control.Event) {
	switch {
	case ready && !s.ready:
		events = []control.Event{{Kind: control.EventShortcut, What: "ready", Text: "this host has the short-cut", Why: "its programs are in the kernel"}}
	case !ready && s.ready:
		events = []control.Event{{Kind: control.EventShortcut, What: "gone", Text: "this host has the short-cut no longer", Why: why}}
	}
	s.ready = ready
	return events
}

// Peers compares a plan with the one before. A peer that takes another path
// than udp, or none, is left to [Paths].
func (s *Shortcuts) Peers(now plan.Plan) (events []control.Event) {
	used := make(map[string]bool, len(now.Routes))
	for _, r := range now.Routes {
		cut, before := r.Shortcut(), s.used[r.ID]
		used[r.ID] = cut.Used
		if cut.Used == before || !cut.Used && r.Path != plan.PathUDP {
			continue
		}
		e := control.Event{Kind: control.EventShortcut, Node: control.NodeName{Name: r.Name}, Prefix: r.Prefix, Path: string(r.Path)}
		if !r.Node.IsZero() {
			e.Node.ID = r.Node.String()
		}
		if cut.Used {
			e.What, e.Text, e.Why = "used", fmt.Sprintf("packets to %s take the short-cut", e.Node.Text()), "probes have passed it both ways"
		} else {
			e.What, e.Text, e.Why = "left", fmt.Sprintf("packets to %s take user space, no longer the short-cut", e.Node.Text()), cut.Why
		}
		events = append(events, e)
	}
	s.used = used
	return events
}
