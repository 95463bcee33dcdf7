// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"net/netip"
	"time"

	"flanneld/peers/internal/gossip/wire"
)

// A duplicate is another live machine with this node's identity: from a cloned
// disk, or from a restored backup. The two would fight over one lease for ever.
// So the newcomer has to find the other before it does any harm, and stop.
//
// It looks twice. First, before anything else, it asks two things. Is its last
// start still alive at the endpoint that it announced, if that was another one?
// Do the nodes that it knows have a member with its node ID that answers? If
// so, it stops. Second, for as long as it runs, it asks every such member that
// gossip names, and asks again while one answers. Then the one stops that has
// not been in the network for SettleTime. Of two newcomers it is the one with
// the lower start. A node that is elsewhere than at its last start asks there
// for that long as well, and is a newcomer meanwhile: the other may have been
// too busy to answer at once, or the network was not up yet.

// SettleTime is how long a node is a newcomer, from its first exchange of state
// with another node. A node that knows of no other, and is where its last start
// was, is no newcomer.
const SettleTime = 10 * time.Second

const (
	duplicatePings = 2               // tries, probeTimeout each
	duplicateAgain = 5 * time.Second // before the same member is pinged again
	// lookFor is how long a node that starts waits until the first node that it
	// knows takes its connection. A live one does so within milliseconds. The
	// wait is that long only where all are switched off.
	lookFor = probeTimeout
	// lookAnswer is how long it waits for a node that has taken the connection:
	// its host is busy, or it is stopped.
	lookAnswer = 2 * time.Second
)

// Duplicate is a member with our node ID that is not us.
type Duplicate struct {
	Endpoint netip.AddrPort // of its gossip
	Start    uint64         // number of its start
	proof    wire.Proof     // of one that Run has found alive
}

// noteDuplicate notes a member with our node ID; about is its verified meta.
// One at our own endpoint is an earlier start of ours: the port is ours now.
// One of our own instance is ourselves, before a move.
func (g *Agent) noteDuplicate(about wire.Meta) {
	ours := g.about.Load()
	if about.Node != ours.Node || about.At == g.endpoint || about.Instance == ours.Instance {
		return
	}
	g.Suspect(Duplicate{Endpoint: about.At, Start: about.Start})
}

// Suspect has [Agent.Run] ask whether a duplicate is alive. The same start is
// asked at most every 5 s. While many wait, another one is not noted: gossip
// will name it again.
func (g *Agent) Suspect(s Duplicate) {
	select {
	case g.duplicates <- s:
	default:
	}
}

// Duplicates are the members with our node ID that gossip has named, whether
// they live or not. [Agent.Run] takes them while it runs.
func (g *Agent) Duplicates() <-chan Duplicate { return g.duplicates }

// Answers reports whether another program with our own key is at an endpoint.
func (g *Agent) Answers(at netip.AddrPort) bool {
	_, lives := g.proofOf(at)
	return lives
}

// proofOf is the proof of another program with our own key at an endpoint. It
// names another instance and that endpoint. So neither an old meta nor a
// question that is passed on to us makes a duplicate.
func (g *Agent) proofOf(at netip.AddrPort) (p wire.Proof, lives bool) {
	ours := g.about.Load()
	for range duplicatePings {
		answer := make(chan wire.Proof, 1)
		g.question(ours.Node, at, answer, time.Now())
		select {
		case p = <-answer:
			if p.At == at && p.Instance != ours.Instance {
				return p, true
			}
		case <-time.After(probeTimeout):
		}
	}
	return wire.Proof{}, false
}

// watchDuplicates asks duplicates as gossip names them, and hands on the ones
// that answer. The last of these it asks again: gossip may not name it any
// more. It ends with ctx.
func (g *Agent) watchDuplicates(ctx context.Context, found chan<- Duplicate) {
	pinged := map[uint64]time.Time{} // by the number of the start
	var last Duplicate
	var again <-chan time.Time
	for {
		var s Duplicate
		select {
		case s = <-g.duplicates:
		case <-again:
			s, again = last, nil
		case <-ctx.Done():
			return
		}
		if time.Since(pinged[s.Start]) < duplicateAgain {
			continue
		}
		if len(pinged) > maxNotices {
			clear(pinged)
		}
		var lives bool
		s.proof, lives = g.proofOf(s.Endpoint)
		pinged[s.Start] = time.Now()
		if !lives {
			continue
		}
		last, again = s, time.After(duplicateAgain)
		select {
		case found <- s:
		case <-ctx.Done():
			return
		}
	}
}

// MustStop decides which of two duplicates stops: this node, or the other,
// which [Agent.Run] has found. start is the number of this node's start.
func (g *Agent) MustStop(start uint64, other Duplicate) bool {
	return mustStop(*g.about.Load(), start, other.proof)
}

// mustStop decides by what the two say of themselves now. Gossip can be late:
// where both have one member name, other nodes keep what they heard first.
func mustStop(ours wire.Meta, start uint64, theirs wire.Proof) bool {
	switch {
	case ours.Settled, theirs.Looking: // it is about to find us
		return false
	case theirs.Settled:
		return true
	case start != theirs.Start:
		return start < theirs.Start
	}
	return ours.Instance < theirs.Instance
}

// Settle announces that this node no longer looks for duplicates, and whether
// it has been in the network for long enough to be no newcomer. Once it is
// settled it stays so.
func (g *Agent) Settle(settled bool) {
	about := *g.about.Load()
	if about.Settled || !about.Looking && !settled {
		return
	}
	about.Looking, about.Settled = false, settled
	about.Version++
	g.about.Store(&about)
	notify(g.metaNews)
}
