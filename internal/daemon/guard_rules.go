package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/problem"
)

const (
	// rareInterval is how often the rules are looked at though the kernel told
	// of no change that concerns them.
	rareInterval = time.Minute
	// maxRetry bounds the pause after failures of iptables.
	maxRetry = 30 * time.Second
	// slowTime is how long iptables may take before status reports that. A
	// healthy run takes milliseconds, and may wait for the lock.
	slowTime = 3 * time.Second
)

// Rules that are put back fightRepairs times within fightTime are a fight with
// another program, and worth a problem.
const (
	fightRepairs = 5
	fightTime    = time.Minute
)

// rulesWatch decides when the firewall rules are due for a look.
type rulesWatch struct {
	watcher  *ruleset.Watcher // nil: nf_tables reports nothing
	program  string           // that made the last change
	legacy   string           // fingerprint at the last look
	looked   time.Time
	took     time.Duration
	failures int
	due      *time.Timer
	dueAt    time.Time // zero: not due
	repairs  []time.Time
}

// rulesLoop keeps the firewall rules of the data plane. iptables runs when
// something has changed that concerns them, and rarely otherwise.
func (g *guard) rulesLoop(ctx context.Context) {
	w := &rulesWatch{due: time.NewTimer(time.Hour)}
	defer w.due.Stop()
	var changed <-chan struct{}
	if watcher, err := ruleset.Watch(ctx); err == nil {
		w.watcher, changed = watcher, watcher.Changed
	} else {
		g.log.Debug("nf_tables does not tell of changes", "error", err)
	}
	tick := time.NewTicker(guardInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.rulesWake:
			w.failures = 0
			w.schedule(0)
		case <-changed:
			w.changed(g.current())
		case <-tick.C:
			w.tick(g.state().firewall)
		case <-w.due.C:
			w.dueAt = time.Time{}
			g.rulesRound(w)
		}
	}
}

// schedule has the rules looked at after a delay, unless it is due before.
func (w *rulesWatch) schedule(delay time.Duration) {
	at := time.Now().Add(delay)
	if w.dueAt.IsZero() || at.Before(w.dueAt) {
		w.dueAt = at
		w.due.Reset(delay)
	}
}

// changed looks at what nf_tables told.
func (w *rulesWatch) changed(t *target) {
	change := w.watcher.Take()
	if t != nil && t.rules.Concerns(change) {
		w.program = change.Program
		w.schedule(max(changeDelay, pauseAfter(w.took)-time.Since(w.looked)))
	}
}

// tick looks at what nothing reports: legacy tables, a failure that may have
// ended, iptables installed meanwhile.
func (w *rulesWatch) tick(state string) {
	since := time.Since(w.looked)
	legacy, err := ruleset.Legacy()
	switch {
	case state == control.FirewallFailed && since >= min(guardInterval<<min(w.failures, 8), maxRetry),
		state == control.FirewallNone,
		w.watcher == nil && since >= pauseAfter(w.took),
		since >= rareInterval:
		w.schedule(0)
	case err == nil && legacy != w.legacy:
		w.program = ""
		w.schedule(max(0, pauseAfter(w.took)-since))
	}
}

// rulesRound puts the rules in place. Other programs' starts and reloads are
// everyday events, so what it had to do is worth a quiet line.
func (g *guard) rulesRound(w *rulesWatch) {
	t := g.current()
	if t == nil {
		return
	}
	start := time.Now()
	told := g.tellIfSlow(slowTime)
	changes, err := t.rules.Ensure(t.ctx)
	told()
	w.looked, w.took = time.Now(), time.Since(start)
	if t.ctx.Err() != nil {
		return // the data plane is gone
	}
	w.legacy, _ = ruleset.Legacy() // an error leaves it to the rare look
	w.failures++
	if err == nil {
		w.failures = 0
	}
	first := firstTime(t.settled)
	g.reportRules(w, err, len(changes) > 0 && !first)
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
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(changes) > 0 && !first {
		g.firewallRepairs++
	}
}

// tellIfSlow reports after a time that iptables has not ended yet, so that
// status does not report rules as good that no program can read. The returned
// function ends that; after it, nothing more is reported.
func (g *guard) tellIfSlow(after time.Duration) (end func()) {
	reported := make(chan struct{})
	timer := time.AfterFunc(after, func() {
		defer close(reported)
		g.problems.Report("firewall", problem.Problem{
			Text:   fmt.Sprintf("firewall rules are not looked after: iptables has not ended for %v", after),
			Advice: "find out what holds it (ps -ef | grep iptables; lsof /run/xtables.lock)",
		})
	})
	return func() {
		if !timer.Stop() {
			<-reported
		}
	}
}

func firstTime(settled chan struct{}) bool {
	select {
	case <-settled:
		return false
	default:
		return true
	}
}

// reportRules tells status and the list of problems how the rules are.
func (g *guard) reportRules(w *rulesWatch, err error, repaired bool) {
	state, note := control.FirewallOK, ""
	var found []problem.Problem
	switch {
	case errors.Is(err, firewall.ErrNoIPTables):
		state, note = control.FirewallNone, "no iptables on this host: rules are left to you"
	case errors.Is(err, firewall.ErrHangs):
		state, note = control.FirewallFailed, err.Error()
		found = append(found, problem.Problem{Text: plain(err), Advice: "find out what holds it (ps -ef | grep iptables; lsof /run/xtables.lock); rules are tried again"})
	case err != nil:
		state, note = control.FirewallFailed, err.Error()
		found = append(found, problem.Problem{Text: "firewall rules cannot be put in place: " + plain(err), Advice: "run the iptables command by hand; rules are tried again"})
	}
	if p, fights := w.fight(repaired); fights {
		found = append(found, p)
	}
	g.problems.Report("firewall", found...)
	g.mu.Lock()
	defer g.mu.Unlock()
	if state == control.FirewallNone && g.firewall != state {
		g.log.Info("no iptables on this host: firewall rules are left to you")
	}
	g.firewall, g.firewallNote = state, note
}

// plain is an error of package firewall without the package's name, which the
// problem's part says already.
func plain(err error) string {
	return strings.ReplaceAll(err.Error(), "firewall: ", "")
}

// fight counts repairs, and reports a program that undoes them all the time.
func (w *rulesWatch) fight(repaired bool) (problem.Problem, bool) {
	now := time.Now()
	if repaired {
		w.repairs = append(w.repairs, now)
	}
	for len(w.repairs) > 0 && now.Sub(w.repairs[0]) > fightTime {
		w.repairs = w.repairs[1:]
	}
	if len(w.repairs) < fightRepairs {
		return problem.Problem{}, false
	}
	by := w.program
	if by == "" {
		by = "another program"
	}
	return problem.Problem{
		Text:   fmt.Sprintf("firewall rules are taken away again and again by %s", by),
		Advice: "have that program leave the chains FLANNELD-* and the jumps to them alone",
	}, true
}
