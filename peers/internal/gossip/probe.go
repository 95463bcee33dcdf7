// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"math/rand/v2"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// prober asks all members in turn, one lease holder and one newcomer each
// second, however many newcomers there are. Together all nodes ask each one
// about once a second. It belongs to the goroutine that calls [Agent.Tick].
type prober struct {
	at      time.Time // of the next question
	holders []string  // names still to be asked in this turn
	others  []string
	open    map[string]time.Time // asked and not heard since, by name
}

const (
	probeEvery  = time.Second
	probeAnswer = 600 * time.Millisecond // after which a member that has not answered is in doubt
)

// askDue asks what is due: members in their turn, members in doubt, and
// applicants.
func (g *Agent) askDue(now time.Time) {
	longer := g.members.lag.round(now)
	for name, sent := range g.prober.open {
		if g.members.provedSince(name, sent) {
			delete(g.prober.open, name)
		} else if now.Sub(sent) >= probeAnswer+longer {
			delete(g.prober.open, name)
			g.members.failed(name, now)
		}
	}
	if !now.Before(g.prober.at) {
		g.prober.at = now.Add(probeEvery)
		for _, m := range g.members.turn(&g.prober) {
			g.prober.open[m.node.Name] = now
			g.question(m.id, m.endpoint(), nil, now)
		}
		g.members.tidy(now)
	}
	for _, m := range g.members.questions(now, maxAsking) {
		g.question(m.id, m.endpoint(), nil, now)
	}
	for _, a := range g.members.apply(now, maxAsking) {
		g.question(a.about.Node, a.about.At, nil, now)
	}
	for _, a := range g.members.toReport(now) {
		g.accuse(wire.TypeSuspect, a)
	}
}

// turn returns the next holder and the next newcomer to ask.
func (r *members) turn(p *prober) []member {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []member
	next := func(names *[]string, of func(record.NodeID) bool) {
		for range 2 {
			for len(*names) > 0 {
				name := (*names)[0]
				*names = (*names)[1:]
				if m := r.members[name]; m != nil && of(m.id) {
					due = append(due, *m)
					return
				}
			}
			for name, m := range r.members {
				if of(m.id) {
					*names = append(*names, name)
				}
			}
			rand.Shuffle(len(*names), func(i, j int) { (*names)[i], (*names)[j] = (*names)[j], (*names)[i] })
		}
	}
	next(&p.holders, func(id record.NodeID) bool { return r.holders[id] })
	next(&p.others, func(id record.NodeID) bool { return !r.holders[id] })
	return due
}

// provedSince reports whether a member has proven itself after a moment, or is
// no member any more.
func (r *members) provedSince(name string, sent time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[name]
	return m == nil || !m.proved.Before(sent)
}
