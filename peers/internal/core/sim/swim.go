package sim

import (
	"math"
	"slices"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Gossip membership after SWIM, with memberlist's rules and the daemon's
// settings. There are probes, suspicions that can be refuted, rumours told a
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
	settledAfter  = 10 * time.Second
	packetRoom    = 1350 // bytes of rumours in a datagram
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

// rumour is one piece of news: about a member, or a message of the core's.
type rumour struct {
	about *peer // a copy
	key   string
	msg   []byte
	sends int
}

func (r *rumour) size() int { return len(r.msg) + 60 }

type swim struct {
	h       *Host
	self    peer
	peers   []*peer
	byID    map[record.NodeID]*peer
	news    []*rumour
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
	s.tell(&rumour{about: &told, key: "member " + string(p.id[:])})
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
	s.tell(&rumour{about: &told, key: "member " + string(told.id[:])})
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
	s.tell(&rumour{about: &told, key: "member " + string(told.id[:])})
}

// meetDuplicate: of two live hosts with one identity the newcomer stops.
func (s *swim) meetDuplicate(p *peer) {
	other := s.h.World.at(p.place)
	if other == nil || other == s.h || other.ID != s.h.ID || other.swim.self.gen != p.gen || !s.h.connects(other) {
		return
	}
	mine, theirs := s.settled(), other.swim.settled()
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
	s.tell(&rumour{about: &told, key: "member " + string(told.id[:])})
}

func (s *swim) settled() bool { return s.h.World.Now-s.beginAt >= settledAfter }

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

// tell queues a rumour; a newer one with its key takes its place.
func (s *swim) tell(r *rumour) {
	s.news = slices.DeleteFunc(s.news, func(o *rumour) bool { return o.key == r.key })
	s.news = append(s.news, r)
	if !s.telling {
		s.telling = true
		boot := s.h.boots
		s.h.World.after(s.h.World.between(0, gossipEvery), func() { s.gossip(boot) })
	}
}

// gossip tells some members some of the news, as long as there is any.
func (s *swim) gossip(boot int) {
	if s.h.boots != boot {
		return
	}
	s.h.deliver(func() {
		if s.h.up {
			s.tellSome()
		}
		if len(s.news) == 0 {
			s.telling = false
			return
		}
		s.h.World.after(gossipEvery, func() { s.gossip(boot) })
	})
}

func (s *swim) tellSome() {
	if len(s.peers) == 0 {
		return
	}
	limit := retransmits * int(math.Ceil(math.Log10(float64(len(s.peers)+2))))
	for _, p := range s.listeners() {
		packet, size := s.pack(limit)
		if len(packet) == 0 {
			return
		}
		from, at := s.self, s.h.place
		s.h.datagram(p.place, size, func(to *Host) {
			to.World.trace.mix(uint64(to.World.Now), uint64(to.Index), uint64(from.gen), uint64(len(packet)))
			to.swim.wrote(from.id, at)
			to.swim.take(packet)
		})
	}
}

// listeners are a few members at random. The dead are told of their death for a
// while, so that a member that was only paused can object.
func (s *swim) listeners() []*peer {
	var some []*peer
	n := len(s.peers)
	for range min(3*gossipFanout, 4*n) {
		p := s.peers[s.h.World.rand.IntN(n)]
		if (p.state <= swimSuspect || s.h.World.Now-p.since < tellDeadFor) && !slices.Contains(some, p) {
			some = append(some, p)
		}
		if len(some) == gossipFanout {
			break
		}
	}
	return some
}

// pack takes the news that was told least often, as much as fits.
func (s *swim) pack(limit int) (packet []*rumour, size int) {
	slices.SortStableFunc(s.news, func(a, b *rumour) int { return a.sends - b.sends })
	kept := s.news[:0]
	for _, r := range s.news {
		if size+r.size() <= packetRoom {
			size += r.size()
			packet = append(packet, r)
			r.sends++
		}
		if r.sends < limit {
			kept = append(kept, r)
		}
	}
	s.news = kept
	return packet, size
}

// take handles a packet of rumours.
func (s *swim) take(packet []*rumour) {
	boot := s.h.boots
	for _, r := range packet {
		if s.h.boots != boot {
			return
		}
		if r.about != nil {
			about := *r.about
			s.hear(&about)
		} else {
			s.h.receive(record.NodeID{}, 0, r.msg)
		}
	}
}

// farewell tells that this member leaves.
func (s *swim) farewell() {
	s.self.state = swimLeft
	told := s.self
	s.tell(&rumour{about: &told, key: "member " + string(told.id[:])})
	if s.h.up {
		s.tellSome()
	}
}

// roll is one side of an exchange of whole states.
type roll struct {
	members   []peer
	state     []byte // whole in a join, else brief
	networked bool   // one live member is in a network
}

func (s *swim) roll(join bool) roll {
	r := roll{members: []peer{s.self}, state: s.h.Core.Brief(), networked: s.h.Core.Inside().Table() != nil}
	if join {
		r.state = s.h.Core.State()
	}
	for _, p := range s.peers {
		m := *p
		r.networked = r.networked || m.state == swimAlive && s.h.World.networked(&m)
		if m.state == swimDead {
			m.state = swimSuspect // it may know better
		}
		r.members = append(r.members, m)
	}
	return r
}

// networked reports whether a member says that it is in a network.
func (w *World) networked(p *peer) bool {
	h := w.at(p.place)
	return h != nil && h.ID == p.id && h.Core != nil && h.Core.Inside().Table() != nil
}

func (r roll) size() int { return len(r.state) + 100*len(r.members) }

// pushPull exchanges whole states with the host at an address, over a
// connection. In a join, a host in no network takes nothing from hosts that
// know of no network.
func (s *swim) pushPull(place int, join bool) {
	h := s.h
	to := h.World.at(place)
	if to == nil || to == h || !h.connects(to) {
		return
	}
	mine, back, boot := s.roll(join), h.place, h.boots
	from := h.ID
	h.stream(place, mine.size(), func(to *Host) {
		theirs := to.swim.roll(join)
		to.swim.unroll(from, mine, join)
		if to.Core == nil {
			return
		}
		id := to.ID
		to.stream(back, theirs.size(), func(h *Host) {
			if h.boots == boot {
				h.swim.unroll(id, theirs, join)
			}
		})
	})
}

func (s *swim) unroll(from record.NodeID, r roll, join bool) {
	if join && !r.networked && s.h.Core.Inside().Table() == nil {
		return
	}
	boot := s.h.boots
	s.h.World.trace.mix(uint64(s.h.World.Now), uint64(s.h.Index), uint64(crc(r.state)))
	s.h.World.tally[statesExchanged]++
	for i := range r.members {
		m := r.members[i]
		if s.h.boots != boot {
			return
		}
		if m.state == swimAlive || s.byID[m.id] != nil || m.id == s.self.id {
			s.hear(&m)
		}
	}
	if s.h.boots == boot {
		s.h.merge(from, r.state)
	}
}

// lookForOthers is the daemon's join loop: seeds, and a few known members that
// are not up.
func (h *Host) lookForOthers() {
	if !h.up {
		return
	}
	for _, seed := range h.Seeds {
		if p := h.swim.byID[seed.ID]; !h.met || p == nil || p.state > swimSuspect {
			h.swim.pushPull(seed.place, true)
		}
	}
	for _, place := range h.lost() {
		h.swim.pushPull(place, true)
	}
}

// lost are up to three addresses of nodes in the table that are not up.
func (h *Host) lost() []int {
	t := h.Core.Inside().Table()
	if t == nil || len(h.swim.peers)-h.swim.dead() >= len(t.Nodes) {
		return nil
	}
	var ids []record.NodeID
	for id, n := range t.Nodes {
		if p := h.swim.byID[id]; id != h.ID && !n.Rec.Left && (!h.met || p == nil || p.state > swimSuspect) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, record.CompareIDs)
	places := make([]int, 0, len(ids))
	for _, id := range ids {
		places = append(places, placeOf(t.Nodes[id].Rec.Gossip()))
	}
	h.World.rand.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	return places[:min(3, len(places))]
}

func (s *swim) dead() int {
	n := 0
	for _, p := range s.peers {
		if p.state > swimSuspect {
			n++
		}
	}
	return n
}
