// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// Rates at which leases are accepted that have too few vouchers to be believed
// at once. They count for each holder that vouches, apart for free slots and
// for slots of another node. Leases of free slots without a known voucher count
// together.
const (
	vouchBurst   = 16
	vouchEvery   = 10 * time.Second
	freedBurst   = 64
	freedEvery   = 10 * time.Second
	rootBurst    = 4
	rootEvery    = time.Minute
	disputeBurst = 4
	disputeEvery = time.Minute
	stableAfter  = 10 * time.Second
	// maxHearsay bounds how many leases are remembered that were not taken.
	maxHearsay = 256
	// refusedFor is how long a lease of this node's slot is not believed
	// before this node affirms its own.
	refusedFor = 20 * time.Second
)

// judge decides which records of other nodes are accepted; it is this node's
// gate. It comes after signature and order: a record can be genuine, greater,
// and a lie all the same.
type judge struct {
	c *Core
	// from is the sender of the message that is being handled: it stands
	// for what it passes on. Zero: a rumor, which no node stands for.
	from record.NodeID
	// trusted says that all records are accepted. They come from this node
	// or its disk, or from the first node that a newcomer joins.
	trusted bool
	// asker is the sender of a question that has shown where it is, while
	// its node record is taken in.
	asker record.NodeID

	unheard, departures tokens // for nodes about which nothing is known
	roots               tokens // for leases that no known holder vouches for
	freed               tokens // for the ends of leases that were not known

	vouching, disputing map[record.NodeID]*tokens
	hearsay             map[uint64]map[record.NodeID]bool // the nodes that stand for a refused record, by its hash
	refused             map[uint64]Time                   // since when a record of our slot is refused
	threat              uint64                            // highest epoch of a refused record that ends our lease; see driveAffirming
}

func newJudge(c *Core) *judge {
	return &judge{c: c, vouching: map[record.NodeID]*tokens{}, disputing: map[record.NodeID]*tokens{}, hearsay: map[uint64]map[record.NodeID]bool{}, refused: map[uint64]Time{}}
}

// Lease implements gate.
func (j *judge) Lease(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, raw []byte) bool {
	if j.trusted {
		return true
	}
	if !j.withinReach(old, rec) {
		return j.isCommon(rec.Claimant(), raw) && j.believes(old, rec, raw)
	}
	own := old != nil && old.Rec.Holder == j.c.id && rec.Slot == j.c.durable.Slot && len(j.c.durable.Lease) > 0
	if own && rec.Claimant() == j.c.id && rec.Holder.IsZero() && record.NodeIDOf(rec.Key) != j.c.id {
		j.threaten(rec) // forgotten, and alive
		return false
	}
	taken := j.believes(old, rec, raw)
	if !taken && own && !rec.Holder.IsZero() && j.isStrong(&old.Rec) && j.isRefusedLong(raw) {
		j.threaten(rec)
	}
	return taken
}

// isRefusedLong reports whether a record has been refused for a while. After a
// cut, the nodes that stand for it may not be known yet.
func (j *judge) isRefusedLong(raw []byte) bool {
	key := record.HashOf(raw)
	since, refused := j.refused[key]
	if !refused {
		if len(j.refused) >= maxHearsay {
			clear(j.refused)
		}
		j.refused[key] = j.c.now
	}
	return refused && j.c.now-since >= refusedFor
}

// isStrong reports whether a lease is proven by more than one holder, or by the
// longest-standing one. The founder's is strong, and one from before there were
// vouchers.
func (j *judge) isStrong(l *record.LeaseRecord) bool {
	if l.Vouchers.Count() == 0 {
		return l.Electors > 0 || l.Holder == j.c.table.Network.Founder && l.GrantEpoch() == 1
	}
	standing := j.validVouchers(l)
	return len(standing) >= record.DisputeLeast || j.enough(standing)
}

// threaten records that a refused record would end our own lease.
func (j *judge) threaten(rec *record.LeaseRecord) { j.threat = max(j.threat, rec.Epoch) }

// withinReach reports whether a lease's counters are close enough to the known
// ones.
func (j *judge) withinReach(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord) bool {
	known, jump := uint64(0), uint64(MaxJump)
	if old != nil {
		known = old.Rec.Epoch
		if old.Rec.Holder != rec.Claimant() {
			jump /= 2 // so that the holder can answer it
		}
	}
	if rec.Holder.IsZero() && record.NodeIDOf(rec.Key) != rec.Freed {
		jump = maxFreeJump
	}
	return rec.Epoch <= known+jump && rec.Ordinal <= j.c.table.MaxOrdinal()+MaxJump
}

// isCommon reports whether so many holders stand for a record that this node
// must have missed something.
func (j *judge) isCommon(about record.NodeID, raw []byte) bool {
	return len(j.distinctAddresses(j.supporters(about, raw))) >= j.majority()
}

// believes decides about a lease, or the end of one, by what this node knows.
func (j *judge) believes(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, raw []byte) bool {
	c, claimant, writer := j.c, rec.Claimant(), record.NodeIDOf(rec.Key)
	freed := rec.Holder.IsZero()
	if freed && old != nil && old.Rec.Freed == claimant && old.Rec.GrantEpoch() == rec.GrantEpoch() {
		return true // two nodes have ended it
	}
	if freed && writer != claimant && !j.mayFree(old, rec, writer) {
		return false
	}
	switch {
	case old != nil && old.Rec.Holder == claimant: // about its own slot, or it was struck out
		return freed || rec.Ordinal >= old.Rec.Ordinal || len(j.validVouchers(rec)) > 0
	case claimant == c.id && writer == c.id && (old == nil || !c.holds(&old.Rec)): // our own word
		return true
	case !freed && c.ledger.of(rec.Slot).became(rec):
		return true
	case old != nil && c.holds(&old.Rec):
		return j.contests(&old.Rec, rec) && j.overrules(&old.Rec, rec, raw) || j.bothAlone(&old.Rec, rec)
	case !freed && old != nil && rec.Granted > 0 && old.Rec.Freed == claimant: // struck out, and alive
		return !c.ledger.isClaimed(rec.Slot, claimant, c.now)
	}
	return j.takesFreeSlot(old, rec, raw)
}

// bothAlone reports whether two nodes have each begun without any holder. Then
// the order of records alone decides.
func (j *judge) bothAlone(old, rec *record.LeaseRecord) bool {
	return old.Electors == 0 && rec.Electors == 0 && !rec.Holder.IsZero() && !j.isStrong(old)
}

// contests reports whether a lease can be newer than another node's. One that
// was granted earlier, and affirmed since, is not.
func (j *judge) contests(old, rec *record.LeaseRecord) bool {
	return rec.GrantEpoch() >= old.GrantEpoch() || !j.isStrong(old)
}

// mayForget reports whether a node's word that another is dead is accepted. The
// writer must hold a lease, and this node must not see the other one alive. Any
// holder may strike out a node that has left.
func (j *judge) mayForget(writer, dead record.NodeID) bool {
	c := j.c
	return dead != c.id && j.hasSay(writer) && (!c.isUp(dead) || c.hasLeft(dead))
}

// hasSay reports whether the writer of a record holds a lease or held one, or
// the node that passes it on does.
func (j *judge) hasSay(writer record.NodeID) bool {
	return j.c.table.KeyOf(writer) != nil || j.c.table.KeyOf(j.from) != nil
}

// mayFree reports whether a node may say that another's lease has ended. It may
// if it may forget that node, or if that node does not rely on the lease. Such
// a lease is left over from a start that was cut short, or not known here.
func (j *judge) mayFree(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, writer record.NodeID) bool {
	c := j.c
	switch {
	case !j.hasSay(writer):
		return false
	case old == nil || old.Rec.Holder != rec.Freed, j.mayForget(writer, rec.Freed):
		return true
	case rec.Freed == c.id:
		return rec.Slot != c.durable.Slot || len(c.durable.Lease) == 0
	}
	return len(c.table.Held[rec.Freed]) > 1
}

// Forget implements gate.
func (j *judge) Forget(rec *record.ForgetRecord, raw []byte) bool {
	if j.trusted {
		return rec.Node != j.c.id
	}
	c, writer := j.c, record.NodeIDOf(rec.Key)
	if rec.Node == c.id {
		if j.hasSay(writer) {
			c.forgottenAs(rec.Start)
		}
		return false
	}
	n := c.table.Nodes[rec.Node]
	if rec.Faded && c.table.HeldBy(rec.Node) != nil {
		return false
	}
	if n == nil && c.table.HeldBy(rec.Node) == nil && !c.mayHold(rec.Node) {
		return false // no node that is known here
	}
	known := uint64(0)
	if n != nil {
		known = n.Rec.Start
	}
	return (rec.Start <= known+MaxJump || j.isCommon(rec.Node, raw)) && j.mayForget(writer, rec.Node)
}

// takesFreeSlot decides about a lease of a slot that no node holds. A lease
// with too few vouchers is accepted if its node is up, or if two holders stand
// for it. A holder has a vote, and no node gets one by a single liar's word.
func (j *judge) takesFreeSlot(old *record.Stored[record.LeaseRecord], rec *record.LeaseRecord, raw []byte) bool {
	c, freed := j.c, rec.Holder.IsZero()
	if rec.Electors == 0 && !freed {
		if rec.Holder == c.table.Network.Founder && old == nil || len(c.electors()) == 0 {
			return true // the founder's own grant, or that of the first after the last
		}
	}
	standing := j.validVouchers(rec)
	if j.enough(standing) {
		return true
	}
	known := len(standing) > 0
	standing = j.distinctAddresses(append(standing, j.supporters(rec.Claimant(), raw)...))
	up := c.isUp(rec.Claimant())
	if !freed && !up && len(standing) < record.DisputeLeast {
		return false
	}
	for _, id := range standing {
		if bucketFor(j.vouching, id).take(c.now, vouchBurst, vouchEvery) {
			return true
		}
	}
	if freed && record.NodeIDOf(rec.Key) == rec.Freed { // it frees what was its own, if it was held
		return j.freed.take(c.now, freedBurst, freedEvery)
	}
	// A part of the network that began anew without the holders known here.
	return !known && up && j.roots.take(c.now, rootBurst, rootEvery)
}

// overrules decides about a lease of a slot that another node holds.
func (j *judge) overrules(old, rec *record.LeaseRecord, raw []byte) bool {
	standing := j.validVouchers(rec)
	if j.enough(standing) {
		return true
	}
	standing = j.distinctAddresses(append(standing, j.supporters(rec.Claimant(), raw)...))
	if j.enough(standing) {
		return true
	}
	// If a node is dead, or just back, any holder could have forgotten it
	// before.
	strict := j.isStable(old.Holder) && j.isStrong(old)
	if len(standing) == 0 || len(standing) < record.DisputeLeast && strict {
		return false
	}
	for _, id := range standing {
		if !bucketFor(j.disputing, id).take(j.c.now, disputeBurst, disputeEvery) {
			return false
		}
	}
	return true
}

// isStable reports whether a node has been up for a while. For this node, it
// has been in touch with others for that long: it may have been asleep, or cut
// off, until its lease expired.
func (j *judge) isStable(id record.NodeID) bool {
	c := j.c
	if id == c.id {
		return c.joinedAt >= 0 && len(c.members.live()) > 0 && c.now-max(c.joinedAt, c.backAt) >= stableAfter
	}
	m := c.members.of(id)
	return m.up && c.now-m.since >= stableAfter
}

// supporters returns the holders that have passed a record on to this node, in
// ascending order. The sender of the present message counts. The node that the
// record is about does not.
func (j *judge) supporters(about record.NodeID, raw []byte) []record.NodeID {
	key := record.HashOf(raw)
	by := j.hearsay[key]
	if by == nil {
		if len(j.hearsay) >= maxHearsay {
			clear(j.hearsay)
		}
		by = map[record.NodeID]bool{}
		j.hearsay[key] = by
	}
	if j.from != about && len(by) < 2*record.MaxVouchers && j.c.table.KeyOf(j.from) != nil {
		by[j.from] = true
	}
	return slices.SortedFunc(maps.Keys(by), record.CompareIDs)
}

// validVouchers returns the present and former holders that have a valid
// voucher in the record. Of one underlay address one counts, and the claimant
// does not. The longest-standing holder comes first, since its voucher alone is
// enough.
func (j *judge) validVouchers(rec *record.LeaseRecord) []record.NodeID {
	c, g := j.c, record.GrantOf(rec)
	senior := c.senior()
	var ids []record.NodeID
	for _, first := range []bool{true, false} {
		for i := range rec.Vouchers.Count() {
			by, sig := rec.Vouchers.At(i)
			if (by == senior) != first || by == g.Claimant || !j.mayVouch(by, g) || !c.table.Vouched(g, by, sig) {
				continue
			}
			if ids = append(ids, by); by == senior {
				return ids
			}
		}
	}
	return j.distinctAddresses(ids)
}

// mayVouch reports whether a holder's voucher can be right: a holder promises
// no lease that would be older than its own.
func (j *judge) mayVouch(by record.NodeID, g record.Grant) bool {
	if j.c.table.KeyOf(by) == nil {
		return false
	}
	l := j.c.table.HeldBy(by)
	return l == nil || g.Ordinal >= l.Rec.Ordinal
}

// distinctAddresses keeps one node for each underlay address.
func (j *judge) distinctAddresses(ids []record.NodeID) []record.NodeID {
	seen := map[netip.Addr]bool{}
	same := map[record.NodeID]bool{}
	kept := ids[:0]
	for _, id := range ids {
		at := j.c.addressOf(id)
		if same[id] || seen[at] && !at.IsLoopback() {
			continue
		}
		seen[at], same[id] = true, true
		kept = append(kept, id)
	}
	return kept
}

// enough reports whether the holders that stand for a lease suffice. They are a
// majority of the known holders, MaxVouchers at most, or include the
// longest-standing holder.
func (j *judge) enough(standing []record.NodeID) bool {
	senior := j.c.senior()
	for _, id := range standing {
		if id == senior {
			return true
		}
	}
	return len(standing) >= j.majority()
}

// majority is how many holders are enough to be believed at once.
func (j *judge) majority() int { return min(record.MaxVouchers, len(j.c.electors())/2+1) }

func bucketFor(m map[record.NodeID]*tokens, id record.NodeID) *tokens {
	t := m[id]
	if t == nil {
		if len(m) >= record.MaxNodes {
			clear(m)
		}
		t = &tokens{}
		m[id] = t
	}
	return t
}
