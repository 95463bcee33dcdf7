// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"bytes"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// A member that gossip names is an applicant first. It is let in when it has
// proven, from the endpoint that it announces, that it has the key of its node
// ID (see question.go). So no member is up here because others say so. There is
// one exception: the members that a node finds when it joins for the first
// time.
//
// A lease holder is let in at any time. All other nodes are newcomers, and a
// bounded number is in at a time. At that bound the oldest newcomer makes room,
// if it has been without a lease for newcomerAge. An underlay address has
// newcomersPerAddr identities without a lease, and one more each minute.
// Loopback, where all nodes of a test are, has no such bound.
const (
	maxApplicants    = 1024
	maxNewcomers     = 256
	newcomersPerAddr = 4
	newcomerRefill   = 1.0 / 60 // a second
	newcomerAge      = time.Minute

	applyAgain  = 250 * time.Millisecond // between questions, doubled each time
	applyMost   = 4 * time.Second
	applyFor    = 20 * time.Second // after which an applicant is dropped
	maxGone     = 2048
	goneFor     = 10 * time.Minute
	goneStarts  = 4           // of one node: only its last ones can come back
	admittedFor = time.Minute // for which an admitted member may take to join
)

// applicant is a member that has not proven itself yet.
type applicant struct {
	member wire.Member // the newest that gossip has named
	about  wire.Meta
	ask    time.Time     // when to ask next
	pause  time.Duration // before the question after that
	until  time.Time     // when it is dropped
}

// admitted is a member that memberlist may have, until memberlist has it.
type admitted struct {
	at          time.Time
	incarnation uint32 // the greatest that gossip named before it was in
}

// verdict is what becomes of a member that gossip names.
type verdict int

const (
	refused  verdict = iota
	asked            // it is an applicant, to be asked now
	waiting          // it is one, and has been asked
	accepted         // it is in, and memberlist may have it
)

// consider decides about a member that gossip names; about is its verified
// meta. trusted means that it is in the state of the node that was dialed to
// join.
func (r *members) consider(m wire.Member, about wire.Meta, trusted bool, now time.Time) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in := r.members[m.Node]; in != nil {
		if in.endpoint() != about.At {
			return refused
		}
		in.incarnation = max(in.incarnation, m.Incarnation)
		return accepted
	}
	if a := r.admitted[m.Node]; a != nil {
		a.incarnation = max(a.incarnation, m.Incarnation)
		return accepted
	}
	if trusted && r.gone[m.Node] == nil {
		r.admitted[m.Node] = &admitted{now, m.Incarnation}
		return accepted
	}
	if a := r.applicants[m.Node]; a != nil {
		if m.Incarnation >= a.member.Incarnation {
			a.member, a.about = m, about
		}
		a.until = now.Add(applyFor)
		return waiting
	}
	if !r.isKnown(about.Node) && (len(r.applicants) >= maxApplicants || !r.mayApply(about, now)) {
		return refused
	}
	r.applicants[m.Node] = &applicant{m, about, now.Add(applyAgain), 2 * applyAgain, now.Add(applyFor)}
	return asked
}

// mayApply reports whether an identity without a lease may apply from its
// address; r.mu is held.
func (r *members) mayApply(about wire.Meta, now time.Time) bool {
	if about.At.Addr().IsLoopback() || r.goneOf[about.Node] > 0 {
		return true
	}
	return r.identities.take(about.At.Addr(), now)
}

// apply returns applicants to ask now, and drops the ones that took too long.
func (r *members) apply(now time.Time, most int) []applicant {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []applicant
	for name, a := range r.applicants {
		switch {
		case now.After(a.until):
			delete(r.applicants, name)
		case !now.Before(a.ask) && len(due) < most:
			a.ask, a.pause = now.Add(a.pause), min(2*a.pause, applyMost)
			due = append(due, *a)
		}
	}
	return due
}

// metaOf returns the meta of a member, in or not, that was verified before.
func (r *members) metaOf(name string, encoded []byte) (wire.Meta, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[name]; m != nil && bytes.Equal(m.node.Meta, encoded) {
		return m.meta, true
	}
	if a := r.applicants[name]; a != nil && bytes.Equal(a.member.Meta, encoded) {
		return a.about, true
	}
	if g := r.gone[name]; g != nil && bytes.Equal(g.member.node.Meta, encoded) {
		return g.member.meta, true
	}
	return wire.Meta{}, false
}

// allowed reports whether memberlist may have a member of that name.
func (r *members) allowed(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admitted[name] != nil || r.members[name] != nil
}

// admission is what a proof led to.
type admission struct {
	in    wire.Member     // the member to tell memberlist of; no name: none
	out   wire.Accusation // the newcomer that made room; no name: none
	proof bool            // it proved what was asked
}

// proved takes in a proof. It ends the doubt about a member, and lets an
// applicant in. A member that proves to be in another network than ours is
// removed.
func (r *members) proved(p wire.Proof, asked question, now time.Time) admission {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := p.Name()
	if differ(p.Network, r.network) {
		delete(r.applicants, name)
		if m := r.members[name]; m != nil && m.endpoint() == p.At {
			return admission{out: r.putOut(m)}
		}
		return admission{}
	}
	if m := r.members[name]; m != nil {
		if m.endpoint() != p.At {
			return admission{}
		}
		m.rtt, m.proved = now.Sub(asked.sent), now
		r.clear(m)
		r.answered(m, now)
		return admission{proof: true}
	}
	a := r.applicants[name]
	if a == nil && r.holders[p.Node] && p.At == asked.at {
		r.there[p.At] = now // gossip has yet to name it
	}
	if a == nil || a.about.At != p.At || a.about.Instance != p.Instance {
		return admission{}
	}
	out, ok := r.makeRoom(p.Node, now)
	if !ok {
		return admission{proof: true}
	}
	delete(r.applicants, name)
	if g := r.gone[name]; g != nil {
		r.restore(g, a.member.Incarnation, asked, now)
	} else {
		r.admitted[name] = &admitted{now, a.member.Incarnation}
	}
	return admission{a.member, out, true}
}

// makeRoom finds room for a node among the newcomers, if it takes any; r.mu is
// held.
func (r *members) makeRoom(id record.NodeID, now time.Time) (out wire.Accusation, ok bool) {
	if r.isKnown(id) {
		return out, true
	}
	count := 0
	var oldest *member
	for node, starts := range r.nodes {
		if r.holders[node] {
			continue
		}
		count++
		for _, m := range starts {
			if oldest == nil || m.since.Before(oldest.since) {
				oldest = m
			}
		}
	}
	if count < maxNewcomers {
		return out, true
	}
	if now.Sub(oldest.since) < newcomerAge {
		return out, false
	}
	return r.putOut(oldest), true
}

// putOut removes a member, and returns the accusation that makes memberlist
// remove it as well; r.mu is held.
func (r *members) putOut(m *member) wire.Accusation {
	r.remove(m, false)
	return wire.Accusation{Incarnation: m.incarnation, Node: m.node.Name}
}

// leaveTo sets our network. It removes the members and applicants that are in
// another one. Those came in while this node was in none. It returns
// accusations for memberlist.
func (r *members) leaveTo(ours record.NetworkID) []wire.Accusation {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.network = ours
	for name, a := range r.applicants {
		if differ(a.about.Network, ours) {
			delete(r.applicants, name)
		}
	}
	var all []wire.Accusation
	for _, m := range r.members {
		if differ(m.meta.Network, ours) {
			all = append(all, r.putOut(m))
		}
	}
	return all
}

// tidy drops what has been there for too long.
func (r *members) tidy(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, a := range r.admitted {
		if now.Sub(a.at) > admittedFor {
			delete(r.admitted, name)
		}
	}
	for name, g := range r.gone {
		if now.Sub(g.at) > goneFor {
			r.forgetGone(name)
		}
	}
}
