// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"flanneld/peers/internal/record"
)

// missing is a lease holder that is not up here.
type missing struct {
	id record.NodeID
	at netip.AddrPort // of its gossip
}

// Lease holders that are not up are asked whether they are there, a few at a
// time, at random. A question costs one datagram. An exchange of state costs a
// stream and two tables. So the join loop first calls the ones that answered.
// The first node that finds one tells the others. So all nodes together ask
// each about lookTogether times in a round: one that comes back to a network
// of any size has time to answer.
const (
	lookEvery    = 500 * time.Millisecond
	lookMost     = 32
	lookTogether = 8
)

// lookForMissing asks some lease holders that are not up, and lets the join
// loop call the ones that have answered.
func (e *engine) lookForMissing(now time.Time) {
	if e.gossip.HolderFound() {
		e.joiner.Hurry()
	}
	if now.Sub(e.lookedAt) < lookEvery+e.gossip.Longer(now) || len(e.missing) == 0 {
		return
	}
	e.lookedAt = now
	first, here := rand.IntN(len(e.missing)), e.gossip.Up()+1
	for i := range min(len(e.missing), lookMost) {
		if m := e.missing[(first+i)%len(e.missing)]; rand.IntN(here) < lookTogether {
			e.gossip.Ask(m.id, m.at, now)
		}
	}
}
