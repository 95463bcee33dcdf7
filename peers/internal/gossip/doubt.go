// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// A member is up for as long as it proves that it is there. What others say
// about it only makes this node ask. A member is in doubt when gossip accuses
// it, or when memberlist has reported it dead. It is also in doubt when it does
// not answer one of the questions that every member is asked in turn (see
// probe.go). In doubt it is asked again and again, and is dead when it does not
// answer for the time of the doubt.
//
// A network can be cut in one direction, and some nodes can see both sides of a
// cut. Then nodes that cannot see a member tell others that it is dead. Its
// refutation can take the same wrong way as the answers that they missed. And
// any program can send memberlist's messages in another's name, accusations and
// refutations alike.
//
// All these times are of a node that gets to its datagrams at once. One that
// lags gives more time, see lag.go.
const (
	accusedFor  = 3500 * time.Millisecond // before a member that is accused and does not answer is dead
	doubtFor    = 500 * time.Millisecond  // the same, when memberlist has reported it dead after a suspicion
	answerHolds = 3 * time.Second         // the same, after it has answered
	askAgain    = 200 * time.Millisecond  // while it does not answer
	askNext     = time.Second             // after an answer, until memberlist reports it alive
	proofHolds  = time.Second             // after an answer: an accusation starts no doubt
	reportAfter = time.Second             // without an answer, before other nodes are told
	maxAsking   = 64                      // questions at a time; members that cannot be asked in time are dead
)

// doubt is about one member.
type doubt struct {
	since    time.Time
	until    time.Time // when the member is dead if it does not answer
	ask      time.Time // when to ask it next
	answered bool
	reported bool // memberlist has reported the member dead
	sent     bool // other nodes have been told
}

// reportedDead puts a member in doubt that memberlist reports dead. An earlier
// start of a node that is up ends without a question.
func (r *members) reportedDead(name string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[name]
	if m == nil {
		if g := r.gone[name]; g != nil {
			g.reported = true
		}
		return
	}
	if last, _ := latest(r.nodes[m.id]); last.start > m.start {
		r.remove(m, true)
		return
	}
	d := r.doubts[name]
	if d == nil {
		d = &doubt{since: now, until: now.Add(doubtFor), ask: now}
		r.doubts[name] = d
	}
	if until := now.Add(doubtFor); !d.answered && until.Before(d.until) {
		d.until = until
	}
	d.reported = true
	r.touch(m.id)
}

// refuted notes that memberlist reports a member alive that it had reported
// dead. The doubt ends if the member has proven itself meanwhile. Otherwise it
// still has to, in the time after an accusation: a stranger can refute in its
// name. r.mu is held.
func (r *members) refuted(name string) {
	d := r.doubts[name]
	switch {
	case d == nil || !d.reported:
	case d.answered:
		delete(r.doubts, name)
	default:
		d.reported, d.until = false, d.since.Add(accusedFor)
	}
}

// accused notes that another node calls a member suspect or dead, and reports
// whether there is such a member.
func (r *members) accused(name string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[name]
	if m != nil {
		r.accuse(m, now)
	}
	return m != nil
}

// accuse puts a member in doubt, unless it is in doubt already or has just
// proven itself; r.mu is held.
func (r *members) accuse(m *member, now time.Time) {
	name := m.node.Name
	if r.doubts[name] == nil && now.Sub(m.proved) >= proofHolds+2*r.lag.round(now) {
		r.doubts[name] = &doubt{since: now, until: now.Add(accusedFor), ask: now}
		r.touch(m.id)
	}
}

// toReport returns accusations of members that have not answered us for a
// while. Each comes once in a doubt.
func (r *members) toReport(now time.Time) []wire.Accusation {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []wire.Accusation
	for name, d := range r.doubts {
		if !d.reported && !d.sent && now.Sub(d.since) >= reportAfter {
			d.sent = true
			all = append(all, wire.Accusation{Incarnation: r.members[name].incarnation, Node: name})
		}
	}
	return all
}

// dropLeft removes the members in doubt that have left, as their nodes say.
func (r *members) dropLeft(left func(record.NodeID) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.doubts {
		if m := r.members[name]; left(m.id) {
			r.remove(m, true)
		}
	}
}

// inDoubt reports whether the member that counts for a node is in doubt.
func (r *members) inDoubt(id record.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, up := latest(r.nodes[id])
	d := r.doubts[m.node.Name]
	return up && d != nil && (d.reported || d.sent)
}

// questions returns up to so many members to ask now, and removes the ones that
// have not answered in time.
func (r *members) questions(now time.Time, most int) []member {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []member
	longer := r.lag.round(now)
	for name, d := range r.doubts {
		m := r.members[name]
		switch {
		case !now.Before(d.until.Add(2 * longer)):
			r.remove(m, d.reported)
		case !now.Before(d.ask) && len(due) < most:
			d.ask = now.Add(askAgain + longer)
			due = append(due, *m)
		}
	}
	return due
}

// answered notes an answer of a member in doubt; r.mu is held.
func (r *members) answered(m *member, now time.Time) {
	d := r.doubts[m.node.Name]
	if d == nil {
		return
	}
	if !d.answered {
		r.touch(m.id)
	}
	if !d.reported {
		delete(r.doubts, m.node.Name)
		return
	}
	d.answered, d.until, d.ask = true, now.Add(answerHolds), now.Add(askNext+r.lag.round(now))
}
