// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// Tables shrink. A node that left, or died and holds no lease any more, is
// struck out when it has been gone for the lease TTL. A node that still holds
// an expired lease goes when it has been dead for keepExpired times that. A
// forget record goes after two lease TTLs, or earlier in a full table.
const (
	keepExpired  = 7                // lease TTLs
	purgeStagger = 20 * time.Second // between one holder and the next that may do it
	purgeRanks   = 8                // holders that take turns
	forgetFor    = 2                // lease TTLs
)

// purge strikes out nodes that are gone, or of no use. It takes a record:
// otherwise a node that was away meanwhile would keep them for ever. A hash
// draws which holders do it, so that not all do.
func (c *Core) purge() {
	if c.table.HeldBy(c.id) == nil || c.claim.phase != PhaseConfirmed {
		return // its word would not be taken
	}
	var gone []record.NodeID
	for id := range c.table.Nodes {
		if c.gone(id) || c.fades(id) {
			gone = append(gone, id)
		}
	}
	slices.SortFunc(gone, record.CompareIDs)
	for _, id := range gone {
		end := c.strikeOut
		if !c.gone(id) {
			end = c.fade
		}
		if err := end(id); err != nil {
			return
		}
	}
}

// gone reports whether a node is to be struck out now, and by this node.
func (d *directory) gone(id record.NodeID) bool {
	dead := d.now - d.deadSince(id)
	if id == d.id || d.isUp(id) || dead < d.ttl {
		return false
	}
	if d.table.HeldBy(id) != nil && !d.table.Nodes[id].Rec.Left && dead < keepExpired*d.ttl {
		return false
	}
	rank := d.purgeRank(id)
	return rank < purgeRanks && dead >= d.ttl+time.Duration(rank)*purgeStagger
}

// purgeRank is this node's place among the live holders that take turns in
// striking out a node.
func (d *directory) purgeRank(id record.NodeID) int {
	own, rank := purgeHash(d.id, id), 0
	for _, e := range d.electors() {
		if e == d.id || !d.isUp(e) {
			continue
		}
		if h := purgeHash(e, id); bytes.Compare(h[:], own[:]) < 0 {
			rank++
		}
	}
	return rank
}

// fades reports whether a node is of no use and is to be struck out.
func (d *directory) fades(id record.NodeID) bool {
	n := d.table.Nodes[id]
	return id != d.id && !n.Rec.Left && !n.Former && !d.isUp(id) && d.table.HeldBy(id) == nil &&
		d.now-d.deadSince(id) >= fadeAfter+time.Duration(d.purgeRank(id))*purgeStagger
}

func purgeHash(by, id record.NodeID) [32]byte { return sha256.Sum256(append(by[:], id[:]...)) }

// dropOldForgets ends forget records that have done their work.
func (c *Core) dropOldForgets() {
	for id, f := range c.table.Forgets {
		if c.now-f.Since >= forgetFor*c.cfg.LeaseTTL {
			c.dropForget(id)
		}
	}
}

func (c *Core) dropForget(id record.NodeID) {
	c.table.DropForget(id)
	c.effects.TableChanged = true
}

// makeRoomForForget drops the oldest forget record of a full table.
func (c *Core) makeRoomForForget() {
	if len(c.table.Forgets) < record.MaxForgets {
		return
	}
	var oldest record.NodeID
	since := c.now + 1
	for id, f := range c.table.Forgets {
		if f.Since < since || f.Since == since && record.CompareIDs(id, oldest) < 0 {
			oldest, since = id, f.Since
		}
	}
	c.dropForget(oldest)
}

// Fill is how full a table is.
type Fill struct {
	Table       string // "nodes", "leases", "forgotten", "promises", "members"
	Used, Limit int    // entries; Limit 0: there is none
}

// fill is how full this node's tables are. There is no limit on members here:
// gossip has one, and a member that is gone and in no table is dropped.
func (c *Core) fill() []Fill {
	return []Fill{
		{"nodes", len(c.table.Nodes), record.MaxNodes},
		{"leases", len(c.table.Leases), min(record.MaxLeases, int(c.Network().Slots())-1)},
		{"forgotten", len(c.table.Forgets), record.MaxForgets},
		{"promises", len(c.ledger.promises), maxPromises},
		{"members", len(c.members.seen), 0},
	}
}
