// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flanneld/internal/host"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/problem"
)

const (
	// rareInterval is how often the rules are looked at though the kernel
	// reported no change that concerns them.
	rareInterval = time.Minute
	// maxRetry bounds the pause after failures of iptables.
	maxRetry = 30 * time.Second
	// slowTime is how long iptables may take before status reports that. A
	// healthy run takes milliseconds, and may wait for the lock.
	slowTime = 3 * time.Second
)

// rulesWatch decides when the firewall rules are due for a look.
type rulesWatch struct {
	live     bool   // nf_tables reports changes
	program  string // that made the last change
	legacy   string // fingerprint at the last look
	failures int    // in a row
	fight    fight
}

// rulesLoop keeps the firewall rules of the data plane. iptables runs when
// something has changed that concerns them, and rarely otherwise.
func (g *Guard) rulesLoop(ctx context.Context) {
	rules := g.hub.Subscribe()
	defer rules.Close()
	w := &rulesWatch{live: g.hub.Live()}
	host.Loop{
		Every: interval, Pace: pace, Wake: g.rulesWake, Rules: rules.Changed, Pulse: g.pulses.of(g.parts.Firewall),
		OnWake: func(s *host.Schedule) {
			w.failures = 0
			s.Now()
		},
		OnRules: func(s *host.Schedule) { w.changed(s, rules.Take(), g.current()) },
		OnTick:  func(s *host.Schedule) { w.tick(s, g.State().Firewall) },
		Round:   func(context.Context) { g.rulesRound(w) },
	}.Run(ctx)
}

// changed makes a look due after a change that concerns our rules. A change of
// legacy tables names no program, and the rules that were just written are one.
func (w *rulesWatch) changed(s *host.Schedule, c ruleset.Change, t *target) {
	if t != nil && t.rules.Concerns(c) {
		w.program = c.Program
		s.Soon()
	}
	if !c.Legacy {
		return
	}
	if now, err := ruleset.Legacy(); err == nil && now != w.legacy {
		w.program = ""
		s.Rested()
	}
}

// tick makes a look due for what nothing reports: a failure that may have
// ended, iptables installed meanwhile.
func (w *rulesWatch) tick(s *host.Schedule, state RuleState) {
	switch {
	case state == RulesFailed && s.Since() >= min(interval<<min(w.failures, 8), maxRetry),
		state == RulesLeft,
		!w.live && s.Paused(),
		s.Since() >= rareInterval:
		s.Now()
	}
}

// rulesRound puts the rules in place. Other programs' starts and reloads are
// everyday events, so what it changed is worth a quiet line.
func (g *Guard) rulesRound(w *rulesWatch) {
	t := g.current()
	if t == nil {
		return
	}
	reported := g.reportIfSlow(slowTime)
	changes, err := g.parts.Firewall.Ensure(t.ctx)
	reported()
	if t.ctx.Err() != nil {
		return // the data plane is gone
	}
	w.legacy, _ = ruleset.Legacy() // an error leaves it to the rare look
	w.failures++
	if err == nil {
		w.failures = 0
	}
	first := open(t.settled)
	repaired := len(changes) > 0 && !first
	g.reportRules(w, err, repaired && !t.rules.Adapted())
	switch {
	case len(changes) == 0:
	case first:
		g.log.Info("firewall rules in place", "changes", len(changes))
	default:
		g.log.Info("firewall rules restored", "changed_by", w.program, "changes", changes)
	}
	if first {
		close(t.settled)
	}
	if repaired {
		g.repairs.add(g.parts.Firewall)
		g.repaired(g.parts.Firewall.Name(), changes, w.program)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.state.FirewallRepairs++
	}
}

// reportIfSlow reports after a time that iptables has not ended yet, so that
// status does not report rules as good that no program can read. The returned
// function ends that; after it, nothing more is reported.
func (g *Guard) reportIfSlow(after time.Duration) (end func()) {
	reported := make(chan struct{})
	timer := time.AfterFunc(after, func() {
		defer close(reported)
		g.keeper.Board.Report(g.parts.Firewall.Name(), problem.Problem{
			Text:   fmt.Sprintf("firewall rules are not looked after: iptables has not ended for %v", after),
			Advice: firewall.LockAdvice,
		})
	})
	return func() {
		if !timer.Stop() {
			<-reported
		}
	}
}

// open reports whether a channel is not closed.
func open(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

// reportRules notes for status and the list of problems how the rules are.
// undone: another program had taken some away.
func (g *Guard) reportRules(w *rulesWatch, err error, undone bool) {
	state, note := RulesInPlace, ""
	switch {
	case errors.Is(err, firewall.ErrNoIPTables):
		state, note, err = RulesLeft, "no iptables on this host: rules are left to you", nil
	case err != nil:
		state, note = RulesFailed, firewall.Cause(err).Error()
	}
	found := host.Problems(err)
	if p, fights := w.fight.add(undone, w.program); fights {
		found = append(found, p)
	}
	g.keeper.Board.Report(g.parts.Firewall.Name(), found...)
	g.mu.Lock()
	defer g.mu.Unlock()
	if state == RulesLeft && g.state.Firewall != state {
		g.log.Info("no iptables on this host: firewall rules are left to you")
	}
	g.state.Firewall, g.state.FirewallNote = state, note
}
