// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net/netip"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// Member is a node that is up, as gossip knows it.
type Member struct {
	Endpoint netip.AddrPort // where its gossip is
	RTT      time.Duration  // of the last answered question or ping; zero: not measured
}

// Liveness is how a node is doing.
type Liveness struct {
	Up      bool
	Suspect bool // it is up, and has not answered of late
}

// MembersChanged has one token when [Agent.News] has something to say.
func (g *Agent) MembersChanged() <-chan struct{} { return g.members.changed }

// TickEvery is how often [Agent.Tick] is to be called at least.
const TickEvery = 100 * time.Millisecond

// Tick ends doubts about nodes that have left, as hasLeft reports, and asks the
// members that are due. The goroutine that calls [Agent.Send] calls it every
// [TickEvery], before [Agent.News]. A call that comes late is taken for a sign
// that this host is busy.
func (g *Agent) Tick(now time.Time, hasLeft func(record.NodeID) bool) {
	if !g.ticked.IsZero() {
		g.members.lag.note(now.Sub(g.ticked)-TickEvery, now)
	}
	g.ticked = now
	g.members.dropLeft(hasLeft)
	g.askDue(now)
}

// News returns the state of every node that something happened to since the
// last call.
func (g *Agent) News(now time.Time) map[record.NodeID]Liveness { return g.members.news(now) }

// Up is how many other nodes are up.
func (g *Agent) Up() int { return g.members.size() }

// Member returns a node that is up.
func (g *Agent) Member(id record.NodeID) (m Member, ok bool) {
	found, ok := g.members.of(id)
	if !ok {
		return Member{}, false
	}
	return Member{found.endpoint(), found.rtt}, true
}

// SetHolders tells the agent which other nodes hold a lease, and where their
// gossip is. The maps are the agent's from then on.
func (g *Agent) SetHolders(ids map[record.NodeID]bool, at map[netip.AddrPort]bool) {
	g.members.setHolders(ids, at)
}

// IsHolder reports whether a node holds a lease, going by [Agent.SetHolders].
func (g *Agent) IsHolder(id record.NodeID) bool { return g.members.isHolder(id) }

// Met reports whether a node holds a lease, or is or was a member of late. Only
// such a node is worth a call when it is lost: a stranger can announce a node
// at any address.
func (g *Agent) Met(id record.NodeID) bool { return g.members.wasMember(id) }

// InDoubt reports whether a node that is up was reported dead, or has not
// answered for a while.
func (g *Agent) InDoubt(id record.NodeID) bool { return g.members.inDoubt(id) }

// Longer is how much longer than usual an answer may take, because this node is
// busy: 0 to 4 s.
func (g *Agent) Longer(now time.Time) time.Duration { return g.members.lag.round(now) }

// Lag is how long this node takes to get to what has arrived for it: 0 to 2 s.
// It halves every 2 s after it was seen last.
func (g *Agent) Lag(now time.Time) time.Duration { return g.members.lag.now(now) }

// Ask asks a lease holder that is not up whether it is at an endpoint. An
// answer makes [Agent.HolderFound] true.
func (g *Agent) Ask(id record.NodeID, at netip.AddrPort, now time.Time) {
	g.question(id, at, nil, now)
}

// HolderFound reports whether a lease holder that is no member has answered.
// The next round of the [Joiner] calls it.
func (g *Agent) HolderFound() bool { return g.members.found() }

// Self is what this node's member says of itself now.
func (g *Agent) Self() wire.Meta { return *g.about.Load() }

// Counts are numbers of members, for tests.
type Counts struct {
	Members    int // other nodes' members here
	Applicants int // members that have not proven themselves yet
	Listed     int // members that memberlist has, this one included
}

// Counts returns the present numbers.
func (g *Agent) Counts() Counts {
	g.members.mu.Lock()
	defer g.members.mu.Unlock()
	return Counts{len(g.members.members), len(g.members.applicants), g.list.NumMembers()}
}
