// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"strings"
	"time"

	"flanneld/peers/internal/record"
)

// count is the state of a vote.
type count struct {
	electors, promises int
	missing            []record.NodeID // have not answered
	liveMissing        bool            // a missing node is alive
	unheardOf          bool            // a missing node may be alive
	senior             bool            // the longest-standing holder promised
}

// needed is how many promises grant a lease: a majority. Exactly half is enough
// with the promise of the longest-standing holder. So, of two nodes, the older
// one can let a newcomer in when the younger one is away.
func (t count) needed() int {
	if t.electors%2 == 0 && t.senior {
		return t.electors / 2
	}
	return t.electors/2 + 1
}

func (c *Core) count() count {
	var t count
	senior := c.senior()
	for _, id := range c.electors() {
		_, answered := c.claim.votes[id]
		switch {
		case c.hasPromised(id):
			t.promises++
			t.senior = t.senior || id == senior
		case !answered:
			t.missing = append(t.missing, id)
			t.liveMissing = t.liveMissing || c.isUp(id)
			t.unheardOf = t.unheardOf || c.unheardOf(id)
		}
		t.electors++
	}
	for _, id := range c.unknownHolders() {
		t.missing = append(t.missing, id)
		t.liveMissing = t.liveMissing || c.isUp(id)
		t.electors++
	}
	return t
}

// unheardOf reports whether a node may be alive although gossip has not named
// it. A newcomer has yet to hear of all members.
func (c *Core) unheardOf(id record.NodeID) bool {
	return id != c.id && !c.members.isKnown(id) && c.joinedAt >= 0 && c.now-c.joinedAt < newcomerFor
}

// patience is how long to wait for missing answers, once a majority is there.
func (t count) patience() time.Duration {
	switch {
	case t.liveMissing:
		return lateAnswers
	case t.unheardOf:
		return lateNews
	}
	return 0
}

// decide grants or gives up the claim, when the votes suffice for either.
func (c *Core) decide() {
	k := &c.claim
	if !k.isAsking() {
		return
	}
	if l := c.table.Leases[k.slot]; k.refused || l != nil && l.Rec.Epoch >= k.epoch || c.paused() {
		c.giveUp()
		return
	}
	if len(c.electors()) == 0 { // the last holder has gone meanwhile
		c.giveUp()
		return
	}
	t := c.count()
	if t.electors == 0 || t.promises < t.needed() {
		k.majorityAt = -1
		c.waitForMajority(t)
		return
	}
	if k.majorityAt < 0 {
		k.majorityAt = c.now
	}
	if c.now-k.majorityAt >= t.patience() {
		c.grantOwn(t.electors, t.promises)
	}
}

// noticePause gives up a claim that was asleep: holders may have given it up,
// too.
func (c *Core) noticePause() {
	if c.claim.isAsking() && c.paused() {
		c.giveUp()
	}
	if c.paused() || len(c.members.live()) == 0 {
		c.backAt = c.now
	}
	c.tickedAt = c.now
}

// paused reports whether this node was asleep: there was no tick for a while.
func (c *Core) paused() bool { return c.now-c.tickedAt >= pausedFor }

// waitForMajority shows which answers the claim waits for, once that takes
// time.
func (c *Core) waitForMajority(t count) {
	if c.now-c.claim.since < askAgainMost {
		return
	}
	names := make([]string, 0, len(t.missing))
	for _, id := range t.missing {
		names = append(names, c.missingName(id))
	}
	if len(names) > 4 {
		names = append(names[:4], fmt.Sprintf("and %d more", len(t.missing)-4))
	}
	c.setWaiting("%d of the %d lease holders promised %s, %d are needed; no answer from %s",
		t.promises, t.electors, c.Network().SubnetOf(c.claim.slot), t.needed(), strings.Join(names, "; "))
}
