// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"

	"flanneld/internal/host"
	"flanneld/internal/host/ports"
	"flanneld/internal/host/ruleset"
)

// portsLoop keeps the table in front of the members' ports. Where nothing has
// changed, a round is one netlink message.
func (g *Guard) portsLoop(ctx context.Context) {
	rules := g.hub.Subscribe()
	defer rules.Close()
	program := "" // that made the last change
	host.Loop{
		Every: interval, Pace: pace, Wake: g.portsWake, Links: g.watchLinks(ctx), Rules: rules.Changed,
		OnWake: func(s *host.Schedule) {
			if s.Looked() {
				s.Soon()
			} else {
				s.Now()
			}
		},
		OnLinks: func(s *host.Schedule) {
			g.parts.Ports.LinksChanged()
			s.Soon()
		},
		OnRules: func(s *host.Schedule) {
			change := rules.Take()
			if change.Touches(func(c ruleset.Chain) bool { return c.Table == ports.TableName(g.parts.Ports.Device()) }) {
				program = change.Program
				s.Soon()
			}
		},
		Round: func(ctx context.Context) {
			changes, err := g.parts.Ports.Ensure(ctx)
			if len(changes) > 0 {
				g.log.Info("table in front of the ports put in place", "changes", changes, "changed_by", program)
			}
			g.keeper.Report(g.parts.Ports, err)
			program = ""
		},
	}.Run(ctx)
}
