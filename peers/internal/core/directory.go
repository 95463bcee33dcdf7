// SPDX-License-Identifier: Apache-2.0

package core

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// directory is what this node knows of all nodes: which exist, which are alive,
// and which hold a lease that counts. It knows nothing of claims and promises.
type directory struct {
	id              record.NodeID // this node's
	ttl             time.Duration // how long a dead node keeps its lease
	now             Time
	table           *record.Table // nil while in no network
	members         membership
	leased          map[record.Slot]Time // since when a slot's holder is known; no entry: since the core's start
	electorateCache electorate
}

func newDirectory(id record.NodeID, ttl time.Duration) directory {
	return directory{id: id, ttl: ttl, members: newMembership(id), leased: map[record.Slot]Time{}}
}

// hasLeft reports whether the node has announced that it leaves.
func (d *directory) hasLeft(id record.NodeID) bool {
	return d.table != nil && d.table.Nodes[id] != nil && d.table.Nodes[id].Rec.Left
}

// nameOf is a node's display name, or the short ID if there is none.
func (d *directory) nameOf(id record.NodeID) string {
	if d.table != nil {
		if n := d.table.Nodes[id]; n != nil && n.Rec.Name != "" {
			return n.Rec.Name
		}
	}
	return id.Short()
}

// expired reports whether a node has been dead for the lease TTL, as seen
// from here: its lease no longer counts and may be claimed.
func (d *directory) expired(id record.NodeID) bool {
	return !d.isUp(id) && d.now-d.deadSince(id) >= d.ttl
}

// deadSince is since when a node that is not up has been dead, as seen from
// here. One that gossip has never named counts from when it was first heard of.
func (d *directory) deadSince(id record.NodeID) Time {
	if m := d.members.seen[id]; m != nil {
		return m.since
	}
	var since Time
	if n := d.table.Nodes[id]; n != nil {
		since = n.Since
	}
	if l := d.table.HeldBy(id); l != nil {
		since = max(since, d.leased[l.Rec.Slot])
	}
	return since
}

// dropMember ends the observation of a node that is struck out and dead.
func (d *directory) dropMember(id record.NodeID) {
	if m := d.members.seen[id]; m != nil && !m.up {
		d.members.drop(id)
	}
}

// leaseOf implements outlook.
func (d *directory) leaseOf(s record.Slot) *record.LeaseRecord {
	if l := d.table.Leases[s]; l != nil {
		return &l.Rec
	}
	return nil
}

// isUp implements outlook.
func (d *directory) isUp(id record.NodeID) bool { return d.members.isUp(id) }

// describe is a node's name and state, for an error.
func (d *directory) describe(id record.NodeID) string {
	state := "dead; `flanneld forget` frees its subnet"
	if d.isUp(id) {
		state = "alive"
	}
	return fmt.Sprintf("%s (%s, %s)", d.nameOf(id), id.Short(), state)
}

// holds reports whether a lease counts: it has a holder, and that node has not
// been dead for the lease TTL.
func (d *directory) holds(l *record.LeaseRecord) bool {
	return !l.Holder.IsZero() && !d.expired(l.Holder)
}

// rank is how free a slot is. 0: never used. 1: handed back. 2: its holder's
// lease has expired. 3: held, or no table has room for it.
func (d *directory) rank(s record.Slot) int {
	l := d.table.Leases[s]
	switch {
	case l == nil && len(d.table.Leases) >= record.MaxLeases:
		return 3 // no table would take it
	case l == nil:
		return 0
	case l.Rec.Holder.IsZero():
		return 1
	case !d.holds(&l.Rec):
		return 2
	}
	return 3
}

// formerHolders hold a lease of the format before this one. Other nodes do not
// hear of such a lease before its holder has been upgraded. In ascending order.
func (d *directory) formerHolders() []record.NodeID {
	var ids []record.NodeID
	if d.table.FormerLeases == 0 {
		return nil
	}
	for _, s := range d.table.SortedSlots() {
		if l := d.table.Leases[s]; l.Former && d.holds(&l.Rec) {
			ids = append(ids, l.Rec.Holder)
		}
	}
	slices.SortFunc(ids, record.CompareIDs)
	return slices.Compact(ids)
}

// isElector reports whether a node has a say in claims.
func (d *directory) isElector(id record.NodeID) bool {
	_, found := slices.BinarySearchFunc(d.electors(), id, record.CompareIDs)
	return found
}

// addressOf is a node's underlay address: where gossip has found it, else the
// announced one. It is zero if neither is known.
func (d *directory) addressOf(id record.NodeID) netip.Addr {
	if at := d.members.address(id); at.IsValid() {
		return at
	}
	if n := d.table.Nodes[id]; n != nil {
		return n.Rec.Endpoint().Addr()
	}
	return netip.Addr{}
}

// missingName names a holder that does not answer. For a dead one it adds how
// to do without it. The ID is there because names can be ambiguous.
func (d *directory) missingName(id record.NodeID) string {
	text := d.nameOf(id)
	if text != id.Short() {
		text += " (" + id.Short() + ")"
	}
	if !d.isUp(id) {
		text += ": dead, `flanneld forget " + id.String() + "` if for good"
	}
	return text
}

// isAt reports whether a node announces that address, for data and for gossip.
// Answers go to the address for gossip, so a promise reaches that host alone.
func (d *directory) isAt(id record.NodeID, addr netip.Addr) bool {
	n := d.table.Nodes[id]
	return n != nil && n.Rec.Endpoint().Addr() == addr && n.Rec.Gossip().Addr() == addr
}

// hasLeftSince reports whether the claimant of a promise has left in the start
// of the claim, or later. Then the claim is over.
func (d *directory) hasLeftSince(p Promise) bool {
	n := d.table.Nodes[p.Claimant]
	return n != nil && n.Rec.Left && !p.Claim.IsZero() && p.Claim.Start <= n.Rec.Start
}
