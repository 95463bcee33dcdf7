// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"time"

	"flanneld/peers/internal/record"
)

// gone is a member that was up, and needs a proof to be up again.
type gone struct {
	member   member
	reported bool // memberlist has reported it dead, too
	at       time.Time
}

// restore marks a member that was dead here as up again, under the greatest
// incarnation that gossip has named. If memberlist has reported it dead, it
// stays in doubt until memberlist says otherwise; r.mu is held.
func (r *members) restore(g *gone, incarnation uint32, asked question, now time.Time) {
	m := g.member
	name := m.node.Name
	r.forgetGone(name)
	m.rtt, m.proved, m.suspected = now.Sub(asked.sent), now, time.Time{}
	m.incarnation = max(m.incarnation, incarnation)
	r.enter(&m)
	if g.reported {
		r.doubts[name] = &doubt{since: now, until: now.Add(answerHolds), ask: now.Add(askNext), answered: true, reported: true}
	}
}

// rememberGone notes a member that is up no more; r.mu is held.
func (r *members) rememberGone(m *member, given bool, now time.Time) {
	if len(r.gone) >= maxGone {
		for name := range r.gone { // any one
			r.forgetGone(name)
			break
		}
	}
	r.forgetGone(m.node.Name)
	if r.goneOf[m.id] >= goneStarts {
		r.forgetGone(r.oldestGone(m.id))
	}
	r.gone[m.node.Name] = &gone{*m, given, now}
	r.goneOf[m.id]++
}

// oldestGone is the earliest start of a node that is up no more; r.mu is held.
func (r *members) oldestGone(id record.NodeID) (name string) {
	for other, g := range r.gone {
		if g.member.id == id && (name == "" || g.member.start < r.gone[name].member.start) {
			name = other
		}
	}
	return name
}

// forgetGone forgets a member that was up; r.mu is held.
func (r *members) forgetGone(name string) {
	g := r.gone[name]
	if g == nil {
		return
	}
	delete(r.gone, name)
	if r.goneOf[g.member.id]--; r.goneOf[g.member.id] == 0 {
		delete(r.goneOf, g.member.id)
	}
}

// wasMember reports whether a node holds a lease, or is or was a member of
// late. Only such a node is called when it is lost. A stranger can announce a
// node at any address.
func (r *members) wasMember(id record.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isKnown(id) || r.goneOf[id] > 0
}
