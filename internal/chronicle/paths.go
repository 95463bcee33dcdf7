// SPDX-License-Identifier: Apache-2.0

package chronicle

import (
	"fmt"

	"flanneld/internal/control"
	"flanneld/internal/plan"
)

// Paths follows which path packets to each peer take. The zero value knows of
// none. It is not safe for concurrent use.
type Paths struct {
	used map[string]plan.Path // by plan.Route.ID: the last one, also while there is none
	lost map[string]bool      // no path leads to the peer, which is alive
}

// Take compares a plan with the one before.
func (p *Paths) Take(now plan.Plan) (events []control.Event) {
	used, lost := make(map[string]plan.Path, len(now.Routes)), map[string]bool{}
	for _, r := range now.Routes {
		before := p.used[r.ID]
		used[r.ID] = before
		e := control.Event{Kind: control.EventPath, Node: control.NodeName{Name: r.Name}, Prefix: r.Prefix, Path: string(r.Path), Why: r.Why}
		if !r.Node.IsZero() {
			e.Node.ID = r.Node.String()
		}
		switch name := e.Node.Text(); {
		case r.Pathless():
			lost[r.ID] = true
			if !p.lost[r.ID] {
				e.What, e.Text = "lost", fmt.Sprintf("no path leads to %s", name)
				events = append(events, e)
			}
			continue
		case r.Path == "":
			continue
		case before == "" && r.Path.Kernel(), before == r.Path && p.lost[r.ID]:
			e.What, e.Text = "chosen", fmt.Sprintf("packets to %s go by %s", name, r.Path)
			events = append(events, e)
		case before != "" && before != r.Path:
			e.What, e.Text = "changed", fmt.Sprintf("packets to %s go by %s, no longer by %s", name, r.Path, before)
			events = append(events, e)
		}
		used[r.ID] = r.Path
	}
	p.used, p.lost = used, lost
	return events
}
