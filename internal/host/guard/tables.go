// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"log/slog"

	"flanneld/internal/host"
	"flanneld/internal/host/identity"
	"flanneld/internal/host/pathrules"
	"flanneld/internal/host/ports"
	"flanneld/internal/host/ruleset"
)

// tableLoop keeps one of our tables of nf_tables. Where nothing has changed, a
// round is one netlink message.
type tableLoop struct {
	part  host.Part
	table string // its name
	other string // name of a table of another program that matters as well; "": none
	said  string // in the log, after a change
	wake  <-chan struct{}
	links <-chan struct{} // nil: links do not matter
	// linksChanged is called after each report of links.
	linksChanged func()
	done         func() // called after each round; nil: nothing is called
	pace         host.Pace
}

// portsLoop keeps the table in front of the members' ports.
func (g *Guard) portsLoop(ctx context.Context) {
	g.keepTable(ctx, tableLoop{
		part: g.parts.Ports, table: ports.TableName(g.parts.Ports.Device()), said: "table in front of the ports put in place",
		wake: g.portsWake, pace: pace, links: g.watchLinks(ctx), linksChanged: g.parts.Ports.LinksChanged,
	})
}

// pathRulesLoop keeps the table that checks what comes by kernel paths.
func (g *Guard) pathRulesLoop(ctx context.Context) {
	there := false
	g.keepTable(ctx, tableLoop{
		part: g.parts.PathRules, table: pathrules.TableName(g.parts.PathRules.Device()), said: "checks of kernel paths put in place",
		wake: g.pathRulesWake, pace: pathsPace,
		done: func() {
			if now := g.parts.PathRules.InPlace(); now != there {
				there = now
				host.Poke(g.pathsWake)
			}
		},
	})
}

// addressesLoop keeps the table with which containers keep their addresses.
func (g *Guard) addressesLoop(ctx context.Context) {
	g.keepTable(ctx, tableLoop{
		part: g.parts.Addresses, table: identity.TableName(g.parts.Addresses.Device()), other: identity.DockerTable,
		said: "table of kept addresses put in place", pace: pathsPace, links: g.watchLinks(ctx), linksChanged: g.parts.Addresses.LinksChanged,
		done: func() {
			if t := g.current(); t != nil {
				g.translate(t)
			}
		},
	})
}

// keepAddresses puts that table in place at once, for a new target.
func (g *Guard) keepAddresses(t *target) {
	g.keeper.Keep(context.Background(), slog.LevelInfo, g.parts.Addresses)
	if why := g.parts.Addresses.Unavailable(); why != "" {
		g.log.Info("iptables keeps containers' addresses: " + why)
	}
	g.translate(t)
}

// translate has iptables translate addresses while nf_tables does not.
func (g *Guard) translate(t *target) {
	if on := !g.parts.Addresses.InPlace(); t.rules.Translate(on) {
		host.Poke(g.rulesWake)
	}
}

func (g *Guard) keepTable(ctx context.Context, l tableLoop) {
	rules := g.hub.Subscribe()
	defer rules.Close()
	program := "" // that made the last change
	host.Loop{
		Every: interval, Pace: l.pace, Wake: l.wake, Links: l.links, Rules: rules.Changed, Pulse: g.pulses.of(l.part),
		OnWake: func(s *host.Schedule) {
			if s.Looked() {
				s.Soon()
			} else {
				s.Now()
			}
		},
		OnLinks: func(s *host.Schedule) {
			l.linksChanged()
			s.Soon()
		},
		OnRules: func(s *host.Schedule) {
			change := rules.Take()
			if change.Touches(func(c ruleset.Chain) bool { return c.Table == l.table || l.other != "" && c.Table == l.other }) {
				program = change.Program
				s.Soon()
			}
		},
		Round: func(ctx context.Context) {
			changes, err := l.part.Ensure(ctx)
			if len(changes) > 0 {
				g.log.Info(l.said, "changes", changes, "changed_by", program)
			}
			if g.repairs.ensured(l.part, changes, err) {
				g.repaired(l.part.Name(), changes, program)
			}
			g.keeper.Report(l.part, err)
			program = ""
			if l.done != nil {
				l.done()
			}
		},
	}.Run(ctx)
}
