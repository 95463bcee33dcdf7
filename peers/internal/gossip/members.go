// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// member is one start of a node, as gossip knows it.
type member struct {
	node  memberlist.Node // a copy: memberlist changes its own under its lock
	id    record.NodeID
	start uint64
	meta  wire.Meta
	rtt   time.Duration // of the last answered probe; zero: none yet
	// suspected is when a probe of ours failed last; zero: none did since the
	// last that was answered.
	suspected   time.Time
	proved      time.Time // when it last proved that it is there; zero: not yet
	since       time.Time // when it came in
	incarnation uint32    // the greatest that gossip named
}

// endpoint is where the member's gossip is.
func (m *member) endpoint() netip.AddrPort { return addrPort(m.node.Addr, m.node.Port) }

func addrPort(ip net.IP, port uint16) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), port)
}

// members holds the live members of other nodes. A node is up if any of its
// starts is alive. The start that counts is the latest one, so that an earlier
// one still waiting to be declared dead disturbs nothing.
//
// memberlist calls in with its lock held; nothing here calls back or waits.
type members struct {
	self    record.NodeID
	changed chan struct{} // one token: there is news
	lag     *lag          // of this node

	mu      sync.Mutex
	network record.NetworkID                     // ours; zero: in none yet
	members map[string]*member                   // by member name
	nodes   map[record.NodeID]map[string]*member // the same, by node
	doubts  map[string]*doubt                    // by member name; see doubt.go
	dirty   map[record.NodeID]struct{}           // nodes with news
	at      map[netip.AddrPort]*member           // members by their endpoint
	addrs   map[netip.Addr]int                   // how many members an address has

	applicants map[string]*applicant        // by member name
	admitted   map[string]*admitted         // by member name
	gone       map[string]*gone             // members that were up
	goneOf     map[record.NodeID]int        // how many a node has in gone
	identities *allowance                   // of identities without a lease
	there      map[netip.AddrPort]time.Time // where lease holders are that are no members, since when

	// What the core knows of lease holders.
	holders     map[record.NodeID]bool
	holdersAt   map[netip.AddrPort]bool
	holderAddrs map[netip.Addr]bool

	// expected were up when these members took the place of others. Until due
	// they count as up.
	expected []record.NodeID
	due      time.Time
}

func newMembers(self record.NodeID, network record.NetworkID) *members {
	return &members{
		self:    self,
		network: network,
		changed: make(chan struct{}, 1),
		lag:     &lag{},
		members: map[string]*member{},
		nodes:   map[record.NodeID]map[string]*member{},
		doubts:  map[string]*doubt{},
		dirty:   map[record.NodeID]struct{}{},
		at:      map[netip.AddrPort]*member{},
		addrs:   map[netip.Addr]int{},

		applicants: map[string]*applicant{}, admitted: map[string]*admitted{}, gone: map[string]*gone{}, goneOf: map[record.NodeID]int{}, there: map[netip.AddrPort]time.Time{},
		identities: newAllowance(newcomersPerAddr, newcomerRefill, 4*maxApplicants),
	}
}

// expect gives the nodes that were up before a move until due to be met again.
func (r *members) expect(nodes []record.NodeID, due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected, r.due = nodes, due
}

// up lists the nodes that are up, or are expected to be.
func (r *members) up() []record.NodeID {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.expected)
	for id := range r.nodes {
		all = append(all, id)
	}
	return all
}

// put adds a live member, or updates it. Anything that is no flanneld node is
// left out.
func (r *members) put(n *memberlist.Node) {
	id, start, err := wire.ParseMemberName(n.Name)
	if err != nil || id == r.self {
		return
	}
	about, err := wire.ParseMeta(n.Meta)
	if err != nil || about.Node != id {
		return
	}
	now := time.Now()
	m := &member{node: copyNode(n), id: id, start: start, meta: about, since: now}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.members[n.Name]; old != nil {
		m.rtt, m.suspected, m.proved, m.since, m.incarnation = old.rtt, old.suspected, old.proved, old.since, old.incarnation
	} else if a := r.admitted[n.Name]; a != nil {
		m.incarnation = a.incarnation
	}
	delete(r.admitted, n.Name)
	r.refuted(n.Name)
	r.enter(m)
	r.supersede(m.id, now)
}

// supersede puts the earlier starts of a node in doubt, since a later one is
// in. Most have ended, and memberlist alone would ping them one a second:
// behind nodes that restart faster than that, it would keep more and more. r.mu
// is held.
func (r *members) supersede(id record.NodeID, now time.Time) {
	last, _ := latest(r.nodes[id])
	for name, m := range r.nodes[id] {
		if m.start < last.start && r.doubts[name] == nil {
			r.doubts[name] = &doubt{since: now, until: now.Add(accusedFor), ask: now}
		}
	}
}

// enter adds a member, in the place of an earlier one of its name; r.mu is
// held.
func (r *members) enter(m *member) {
	name := m.node.Name
	if r.members[name] == nil {
		r.addrs[m.endpoint().Addr()]++
	}
	r.members[name] = m
	r.at[m.endpoint()] = m
	if r.nodes[m.id] == nil {
		r.nodes[m.id] = map[string]*member{}
	}
	r.nodes[m.id][name] = m
	r.touch(m.id)
}

func copyNode(n *memberlist.Node) memberlist.Node {
	c := *n
	c.Addr = append(net.IP(nil), n.Addr...)
	c.Meta = append([]byte(nil), n.Meta...)
	return c
}

// touch marks a node as one with news; r.mu is held.
func (r *members) touch(id record.NodeID) {
	r.dirty[id] = struct{}{}
	notify(r.changed)
}

// remove removes a member. reported means that memberlist has reported it dead,
// too. r.mu is held.
func (r *members) remove(m *member, reported bool) {
	name := m.node.Name
	at := m.endpoint()
	delete(r.members, name)
	delete(r.doubts, name)
	if r.at[at] == m {
		delete(r.at, at)
	}
	if r.addrs[at.Addr()]--; r.addrs[at.Addr()] == 0 {
		delete(r.addrs, at.Addr())
	}
	delete(r.nodes[m.id], name)
	if len(r.nodes[m.id]) == 0 {
		delete(r.nodes, m.id)
	}
	r.rememberGone(m, reported, time.Now())
	r.touch(m.id)
}

// pinged notes the round trip of a ping of memberlist's. It proves nothing.
func (r *members) pinged(name string, rtt time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[name]; m != nil {
		m.rtt = rtt
	}
}

// clear lifts a suspicion; r.mu is held.
func (r *members) clear(m *member) {
	if !m.suspected.IsZero() {
		m.suspected = time.Time{}
		r.touch(m.id)
	}
}

// failed notes a probe that was not answered, and puts the member in doubt.
func (r *members) failed(name string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[name]; m != nil {
		m.suspected = now
		r.touch(m.id)
		r.accuse(m, now)
	}
}

// news returns the state of every node that something happened to since the
// last call. Suspicions wear off, since a refutation can be lost. A suspect
// node is in each call until its suspicion has worn off.
func (r *members) news(now time.Time) map[record.NodeID]Liveness {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.After(r.due) {
		for _, id := range r.expected {
			r.dirty[id] = struct{}{}
		}
		r.expected = nil
	}
	all := make(map[record.NodeID]Liveness, len(r.dirty))
	for id := range r.dirty {
		m, up := latest(r.nodes[id])
		suspect := up && r.suspects(&m, now)
		all[id] = Liveness{up, suspect}
		if !suspect {
			delete(r.dirty, id)
		}
	}
	return all
}

// suspects reports whether a member that is up does not answer at the moment;
// r.mu is held.
func (r *members) suspects(m *member, now time.Time) bool {
	if d := r.doubts[m.node.Name]; d != nil && !d.answered && (d.reported || now.Sub(d.since) >= doubtFor) {
		return true
	}
	return !m.suspected.IsZero() && now.Sub(m.suspected) < suspectFor
}

// of returns a copy of the member that counts for a node.
func (r *members) of(id record.NodeID) (member, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return latest(r.nodes[id])
}

// latest picks the latest start. One that still looks for duplicates counts
// only where there is no other: it may have found one and stopped.
func latest(starts map[string]*member) (member, bool) {
	var found *member
	for _, m := range starts {
		if found == nil || found.meta.Looking && !m.meta.Looking || found.meta.Looking == m.meta.Looking && m.start > found.start {
			found = m
		}
	}
	if found == nil {
		return member{}, false
	}
	return *found, true
}

// size is how many other nodes are up.
func (r *members) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.nodes)
}

// endpoints returns where the gossip of live members is, without members that
// memberlist has reported dead.
func (r *members) endpoints() map[netip.AddrPort]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[netip.AddrPort]bool, len(r.members))
	for name, m := range r.members {
		if d := r.doubts[name]; d == nil || !d.reported {
			all[m.endpoint()] = true
		}
	}
	return all
}

// endpointOf returns where a member is; not valid where there is none of that
// name.
func (r *members) endpointOf(name string) netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[name]; m != nil {
		return m.endpoint()
	}
	return netip.AddrPort{}
}

// notify leaves a token in a channel that holds one.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
