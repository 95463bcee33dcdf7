// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"slices"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Gossip membership after SWIM, with memberlist's rules and the daemon's
// settings. There are probes, suspicions that can be refuted, rumors told a
// few times to a few members, and whole states exchanged now and then. A loop
// looks for lost members.
const (
	probeEvery    = time.Second
	gossipEvery   = 100 * time.Millisecond
	gossipFanout  = 4
	indirectTries = 3
	suspicionMult = 4
	retransmits   = 4
	pushPullEvery = 30 * time.Second
	tellDeadFor   = time.Minute
	suspectShown  = 12 * time.Second
	rejoinEvery   = 3 * time.Second
	stableAfter   = 10 * time.Second
	packetRoom    = 1350 // bytes of rumors in a datagram
)

type swimState uint8

const (
	swimAlive swimState = iota
	swimSuspect
	swimDead
	swimLeft
)

// peer is a member as one host sees it. A start of a node outdoes the earlier
// ones; within a start the incarnation says which news is newer.
type peer struct {
	id       record.NodeID
	gen      uint64
	inc      uint32
	place    int
	instance uint64
	state    swimState
	since    time.Duration
	failedAt time.Duration // when a probe of our own failed; -1: since then one was answered
	shown    liveness      // what the core was told
}

// liveness is what a core is told of a member.
type liveness struct{ up, suspect bool }

func (r *rumor) size() int { return len(r.msg) + 60 }

type swim struct {
	h       *Host
	self    peer
	peers   []*peer
	byID    map[record.NodeID]*peer
	news    []*rumor
	telling bool
	probing int
	wrotes  map[record.NodeID]int // where a node that is no member wrote from

	beginAt, probeAt, syncAt, joinAt time.Duration
	suspects                         int
}

func newSwim(h *Host) swim {
	w := h.World
	s := swim{
		h: h, self: peer{id: h.ID, gen: w.boots, place: h.place, instance: h.Config.Instance},
		byID: map[record.NodeID]*peer{}, wrotes: map[record.NodeID]int{}, beginAt: w.Now,
	}
	s.probing = w.rand.IntN(1 << 16) // each goes round in an order of its own
	s.probeAt = w.Now + w.between(0, probeEvery)
	s.syncAt = w.Now + w.between(0, pushPullEvery)
	s.joinAt = w.Now + w.between(0, rejoinEvery)
	return s
}

// beat does what is due.
func (s *swim) beat() {
	now := s.h.World.Now
	if now >= s.probeAt {
		s.probeAt = now + probeEvery
		s.probe()
		s.pingDuplicates()
	}
	if s.h.Core == nil {
		return // it was the duplicate that stops
	}
	if s.suspects > 0 {
		s.buryDead()
	}
	if now >= s.syncAt {
		s.syncAt = now + s.h.World.between(pushPullEvery/2, pushPullEvery*3/2)*time.Duration(s.syncScale())
		if p := s.random(swimAlive); p != nil {
			s.pushPull(p.place, false)
		}
	}
	if now >= s.joinAt {
		s.joinAt = now + s.h.World.between(rejoinEvery/2, rejoinEvery*3/2)
		s.h.lookForOthers()
	}
}

// syncScale is memberlist's: above 32 members states are exchanged more rarely.
func (s *swim) syncScale() int {
	n := float64(len(s.peers) + 1)
	if n <= 32 {
		return 1
	}
	return int(math.Ceil(math.Log2(n)-math.Log2(32))) + 1
}

// probe asks the next member whether it is there: directly, through others, and
// over a connection.
func (s *swim) probe() {
	for range s.peers {
		s.probing = (s.probing + 1) % len(s.peers)
		if p := s.peers[s.probing]; p.state <= swimSuspect {
			s.probeOne(p)
			return
		}
	}
}

func (s *swim) probeOne(p *peer) {
	h := s.h
	h.sent += 100
	h.sentMessages++
	to := h.World.at(p.place)
	there := to != nil && to.ID == p.id && to.swim.self.gen == p.gen
	if there && (h.answers(to) || h.connects(to) || s.indirect(to)) {
		if p.failedAt >= 0 {
			p.failedAt = -1
			s.show(p)
		}
		return
	}
	h.World.tally[probesFailed]++
	p.failedAt = h.World.Now
	s.hear(&peer{id: p.id, gen: p.gen, inc: p.inc, place: p.place, instance: p.instance, state: swimSuspect})
	s.show(p)
}

func (s *swim) indirect(to *Host) bool {
	for range indirectTries {
		p := s.random(swimAlive)
		if p == nil {
			return false
		}
		via := s.h.World.at(p.place)
		if via != nil && via != to && via.ID == p.id && s.h.answers(via) && via.answers(to) {
			return true
		}
	}
	return false
}

// buryDead declares members dead that were suspected for long enough.
func (s *swim) buryDead() {
	now := s.h.World.Now
	for _, p := range s.peers {
		if p.state == swimSuspect && now-p.since >= s.suspicion() {
			if s.h.World.isAlive(p) {
				s.h.World.tally[falseDeaths]++
			}
			dead := *p
			dead.state = swimDead
			s.hear(&dead)
		}
		if p.failedAt >= 0 && now-p.failedAt >= suspectShown {
			p.failedAt = -1
			s.show(p)
		}
	}
}

func (w *World) isAlive(p *peer) bool {
	h := w.at(p.place)
	return h != nil && h.up && h.swim.self.gen == p.gen
}

// suspicion is how long a suspect may take to object, when others agree.
func (s *swim) suspicion() time.Duration {
	n := float64(len(s.peers) + 1)
	return time.Duration(suspicionMult * max(1, math.Log10(n)) * float64(probeEvery))
}

// random picks a member in that state or a better one.
func (s *swim) random(worst swimState) *peer {
	for range 3 {
		if len(s.peers) == 0 {
			return nil
		}
		if p := s.peers[s.h.World.rand.IntN(len(s.peers))]; p.state <= worst {
			return p
		}
	}
	for _, p := range s.peers {
		if p.state <= worst {
			return p
		}
	}
	return nil
}

// newer reports whether news about a member is news.
func newer(p, old *peer) bool {
	switch {
	case old == nil || p.gen != old.gen:
		return old == nil && p.state <= swimSuspect || old != nil && p.gen > old.gen && p.state <= swimSuspect
	case p.inc != old.inc && p.state == swimAlive:
		return p.inc > old.inc
	case p.state == swimAlive:
		return false
	}
	return p.inc >= old.inc && p.state > old.state
}

// hear takes in news about a member, and passes it on.
func (s *swim) hear(p *peer) {
	if p.id == s.self.id {
		s.hearOfSelf(p)
		return
	}
	old := s.byID[p.id]
	if !newer(p, old) {
		return
	}
	if old == nil {
		old = &peer{id: p.id, failedAt: -1}
		s.byID[p.id] = old
		i, _ := slices.BinarySearchFunc(s.peers, p.id, func(o *peer, id record.NodeID) int { return record.CompareIDs(o.id, id) })
		s.peers = slices.Insert(s.peers, i, old)
	}
	if old.gen != p.gen || p.state == swimAlive {
		old.failedAt = -1
	}
	s.count(old.state, -1)
	old.gen, old.inc, old.place, old.instance, old.state, old.since = p.gen, p.inc, p.place, p.instance, p.state, s.h.World.Now
	s.count(old.state, 1)
	told := *p
	s.tell(&rumor{about: &told, key: "member " + string(p.id[:])})
	s.show(old)
}

func (s *swim) count(state swimState, by int) {
	if state == swimSuspect {
		s.suspects += by
	}
}

// hearOfSelf refutes what is wrong, and finds out about a duplicate.
func (s *swim) hearOfSelf(p *peer) {
	if p.gen != s.self.gen {
		s.meetDuplicate(p)
		return
	}
	if p.state == swimAlive || p.inc < s.self.inc || s.h.leaving {
		return
	}
	s.h.World.tally[refutations]++
	s.self.inc = p.inc + 1
	told := s.self
	s.tell(&rumor{about: &told, key: "member " + string(told.id[:])})
}

// pingDuplicates pings others with our identity; to memberlist they are members
// of their own, here only the latest start is one.
func (s *swim) pingDuplicates() {
	if s.h.World.tally[clones] == 0 {
		return
	}
	for _, o := range s.h.World.Hosts {
		if o != s.h && o.ID == s.h.ID && o.up && s.h.Core != nil {
			s.meetDuplicate(&o.swim.self)
		}
	}
}

// moved announces another address.
func (s *swim) moved() {
	s.self.place = s.h.place
	s.self.inc++
	told := s.self
	s.tell(&rumor{about: &told, key: "member " + string(told.id[:])})
}

// meetDuplicate: of two live hosts with one identity the newcomer stops.
func (s *swim) meetDuplicate(p *peer) {
	other := s.h.World.at(p.place)
	if other == nil || other == s.h || other.ID != s.h.ID || other.swim.self.gen != p.gen || !s.h.connects(other) {
		return
	}
	mine, theirs := s.isStable(), other.swim.isStable()
	a, b := s.h.Core.StartNumber(), other.Core.StartNumber()
	if mine != theirs && !mine || mine == theirs && (a < b || a == b && s.self.instance < other.swim.self.instance) {
		s.h.stopAsDuplicate()
	} else {
		other.stopAsDuplicate() // it finds out at the same time
	}
}

// outlive announces this start anew when another one with our identity ends: to
// memberlist they are two members, here they are one.
func (s *swim) outlive() {
	s.h.World.boots++
	s.self.gen = s.h.World.boots
	told := s.self
	s.tell(&rumor{about: &told, key: "member " + string(told.id[:])})
}

func (s *swim) isStable() bool { return s.h.World.Now-s.beginAt >= stableAfter }

// show tells the core what is new of a member.
func (s *swim) show(p *peer) {
	m := liveness{up: p.state <= swimSuspect}
	m.suspect = m.up && p.failedAt >= 0
	if m == p.shown {
		return
	}
	was := p.shown
	p.shown = m
	s.h.World.trace.member(s.h.World, s.h, p)
	s.h.Do(func(now core.Time) {
		switch {
		case !m.up:
			s.h.Core.MemberDown(now, p.id)
		case !was.up:
			s.h.Core.MemberUp(now, p.id)
		}
		s.h.Core.MemberSuspect(now, p.id, m.suspect)
	})
}

// placeOf is where to write to a node: where gossip says it is, or where it
// wrote from.
func (s *swim) placeOf(id record.NodeID) (int, bool) {
	if p := s.byID[id]; p != nil && p.state <= swimSuspect {
		return p.place, true
	}
	place, ok := s.wrotes[id]
	return place, ok
}

func (s *swim) wrote(id record.NodeID, place int) {
	if p := s.byID[id]; p == nil || p.state > swimSuspect {
		s.wrotes[id] = place
	}
}

func (r roll) size() int { return len(r.state) + 100*len(r.members) }
