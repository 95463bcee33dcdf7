// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"

	"flanneld/peers/internal/record"
)

// A node without a lease that is not up is of no use. After two minutes a
// forget record strikes out its record, and nothing else. Promises to the node
// stand, and a lease brings the record back. So a stranger that makes up nodes
// does not fill a table for long.
const (
	fadeAfter = 2 * time.Minute

	// Records of nodes about which nothing else is known: so many at once,
	// which is a mass start, and then one each unheardEvery.
	unheardBurst = 2048
	unheardEvery = time.Second
	// The same for nodes that have left already when they are first heard
	// of. They are kept for the lease TTL.
	departureBurst = 256
	departureEvery = time.Minute
)

// Node implements gate.
func (j *judge) Node(old *record.Stored[record.NodeRecord], rec *record.NodeRecord) bool {
	c, id := j.c, rec.ID()
	if j.trusted || id == c.id || id == j.asker || c.isUp(id) || c.table.HeldBy(id) != nil || c.mayHold(id) {
		return true
	}
	switch {
	case old != nil:
		return rec.Start <= old.Rec.Start+MaxJump
	case rec.Left:
		return j.departures.take(c.now, departureBurst, departureEvery)
	}
	return j.unheard.take(c.now, unheardBurst, unheardEvery)
}

// fade strikes out a node's record, and nothing else.
func (c *Core) fade(id record.NodeID) error {
	c.makeRoomForForget()
	return c.write(record.KindForget, record.ForgetRecord{Node: id, Start: c.table.Nodes[id].Rec.Start, Key: c.cfg.Identity.Public(), Faded: true})
}
