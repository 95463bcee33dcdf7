// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// The promises, by their numbers in the documents:
//
//	1  no two live nodes hold overlapping leases while the network is whole
//	2  a confirmed lease does not change
//	3  a guest founds nothing, and holds nothing before it has joined
//	4  a smaller part that is cut off hands out nothing
//	5  after a cut the tables become equal again
//	6  the dead are seen, and keep their subnets
//	7  no wall clock (a test of its own: the core does not know any)
//	8  a crash at any disk write leaves the same lease or none

// Bounds, in virtual time.
const (
	healBound  = 40 * time.Second  // until tables are equal
	claimBound = 150 * time.Second // until every host that can hold a lease has one; an amnesiac votes after 60 s
	deathBound = 30 * time.Second
)

// deed is what is known for certain about a node's lease.
type deed struct {
	slot      record.Slot     // 0: none that it has a right to
	free      bool            // it may change: it was given up, or the disk was exchanged
	forgotten bool            // since it was granted
	granted   bool            // perhaps written, though not seen confirmed
	electors  []record.NodeID // decided about it
	host      *Host           // confirmed it
}

func (d *deed) mayHold() bool { return d.slot != 0 || d.granted }

// checks hold the network to the promises.
type checks struct {
	w     *World
	deeds map[record.NodeID]*deed
	// excuse is a fault after which conflicts can be made, and found: a
	// disk exchanged, an expiry or a forget while not all hosts can be
	// reached. From then on an overlap is a broken promise only in a
	// network that has been whole for healBound.
	excuse string
	// apart: live nodes were kept apart while leases were being granted.
	// Then neither side may know the other's holders. Two leases of one
	// slot may be granted by different sets of holders, but not by the same
	// set.
	apart      bool
	expirable  bool // a host was out of reach for as long as the lease TTL
	wholeSince time.Duration
	brokenAt   time.Duration // since when the network is not whole
	split      *splitTruth
}

func (k *checks) init(w *World) {
	*k = checks{w: w, deeds: map[record.NodeID]*deed{}, wholeSince: -1, brokenAt: -1}
	w.after(time.Second, k.watch)
}

func (k *checks) deed(id record.NodeID) *deed {
	d := k.deeds[id]
	if d == nil {
		d = &deed{}
		k.deeds[id] = d
	}
	return d
}

func (k *checks) excuses(why string) {
	if k.excuse == "" {
		k.w.trace.line(k.w, nil, "from now on conflicts may be made: %s", why)
		k.excuse = why
	}
}

// seen is what was observed of a host's claim last.
type seen struct {
	phase core.Phase
	slot  record.Slot
	epoch uint64
	since time.Duration // of this claim
	lease bool          // in the durable state this start began with
}

// booted begins the observation of a start.
func (k *checks) booted(h *Host) {
	h.seen = seen{}
	if r, err := core.Peek(h.Disk.Durable); err == nil {
		h.seen.lease = r.Leased
	}
}

// resumed checks promises 2 and 8, once a start is durable.
func (k *checks) resumed(h *Host) {
	d := k.deed(h.ID)
	if d.slot == 0 || d.free || d.host != h || h.Config.Pin.IsValid() {
		return
	}
	k.w.tally[checkedResumed]++
	if s, ok := h.Holding(); (!ok || s != d.slot) && h.Core.Inside().Claim().Phase != core.PhaseLost {
		k.w.breaks("8", "%s held slot %d and starts with slot %d in phase %d", h.Config.Name, d.slot, s, h.Core.Inside().Claim().Phase)
	}
}

// leaves and left frame a farewell: in between the lease may be kept or not.
func (k *checks) leaves(h *Host) { k.deed(h.ID).free = true }
func (k *checks) left(h *Host)   { *k.deed(h.ID) = deed{} }

// observe is called when something has changed in a core.
func (k *checks) observe(h *Host) {
	if h.Core == nil {
		return
	}
	c, was := h.Core.Inside().Claim(), h.seen
	if c.Phase == was.phase && c.Slot == was.slot && c.Epoch == was.epoch {
		return
	}
	h.seen.phase, h.seen.slot, h.seen.epoch = c.Phase, c.Slot, c.Epoch
	switch {
	case c.Phase == core.PhaseAsking:
		h.seen.since = k.w.Now
		k.w.trace.line(k.w, h, "asks for slot %d epoch %d", c.Slot, c.Epoch)
	case c.Phase == core.PhaseSaving && was.phase == core.PhaseAsking, c.Phase == core.PhaseSaving && !h.owns(c.Slot):
		k.granted(h, was)
	case c.Phase == core.PhaseConfirmed:
		k.confirmed(h)
	case c.Phase == core.PhaseLost:
		k.lost(h)
	}
}

// owns reports whether the host's own table has it as the slot's holder.
func (h *Host) owns(s record.Slot) bool {
	l := h.Core.Inside().Table().Leases[s]
	return l != nil && l.Rec.Holder == h.ID
}

// granted checks promises 3 and 4.
func (k *checks) granted(h *Host, was seen) {
	w, c := k.w, h.Core.Inside().Claim()
	w.tally[freeClaims]++
	d := k.deed(h.ID)
	d.granted, d.forgotten, d.electors = true, false, slices.Clone(h.Core.Inside().Electors())
	w.trace.line(w, h, "is granted slot %d epoch %d by %d of %d", c.Slot, c.Epoch, c.Grant.Promises, c.Grant.Electors)
	if !h.Config.MayFound {
		w.tally[checkedJoined]++
		if !h.met && (!h.seen.lease || !k.onlyHolder(h)) {
			w.breaks("3", "%s has a lease before it has joined", h.Config.Name)
		}
	}
	s := k.split
	if s == nil || k.excuse != "" || k.expirable || was.phase == core.PhaseAsking && was.since < s.cut.since {
		return
	}
	if slices.ContainsFunc(h.Core.Inside().Electors(), func(id record.NodeID) bool { return k.deed(id).forgotten }) {
		return // one that was struck out, and started where it cannot hear of that
	}
	side, in := s.cut.whole[h.Index], 0
	for _, of := range s.sides {
		if of == side {
			in++
		}
	}
	w.tally[checkedMinority]++
	if 2*in < len(s.sides) || 2*in == len(s.sides) && s.senior != side {
		w.breaks("4", "%s got slot %d in a part with %d of the %d holders", h.Config.Name, c.Slot, in, len(s.sides))
	}
}

// onlyHolder reports whether no other node can hold a lease: a node that is
// alone may move to a new pin.
func (k *checks) onlyHolder(h *Host) bool {
	for id, d := range k.deeds {
		if id != h.ID && d.mayHold() {
			return false
		}
	}
	return true
}

// hostOf is the host that has an identity; of clones, the first.
func (w *World) hostOf(id record.NodeID) *Host {
	for _, h := range w.Hosts {
		if h.ID == id {
			return h
		}
	}
	return nil
}

// confirmed checks promises 1, 2 and 3.
func (k *checks) confirmed(h *Host) {
	w, slot, d := k.w, h.Core.Inside().Claim().Slot, k.deed(h.ID)
	w.trace.line(w, h, "has confirmed slot %d", slot)
	if !h.met && !h.seen.lease && !h.Config.MayFound {
		w.breaks("3", "%s holds slot %d and has joined no node", h.Config.Name, slot)
	}
	if d.slot != 0 && !d.free && d.host == h { // a clone has a disk of its own
		w.tally[checkedKept]++
		if d.slot != slot && !h.Config.Pin.IsValid() {
			w.breaks("2", "%s held slot %d and now holds %d", h.Config.Name, d.slot, slot)
		}
	}
	k.compare(h, slot)
	if d.slot != slot {
		*d = deed{slot: slot, forgotten: d.forgotten, electors: d.electors}
	}
	d.host, d.free = h, false
}

// compare checks promise 1 for a lease that was just confirmed.
func (k *checks) compare(h *Host, slot record.Slot) {
	w := k.w
	if k.excuse == "" && !k.expirable {
		w.tally[checkedOverlap]++
	}
	for _, o := range w.Hosts {
		if s, ok := o.Holding(); !ok || s != slot || o.ID == h.ID || !o.up {
			continue
		}
		if k.mayOverlap(k.deed(h.ID), k.deed(o.ID)) {
			w.tally[overlapsExcused]++
			w.trace.line(w, h, "overlaps with %s, which may be", o.Config.Name)
			continue
		}
		w.breaks("1", "%s and %s both hold slot %d", h.Config.Name, o.Config.Name, slot)
	}
}

// mayOverlap reports whether there is a reason that two leases may overlap for.
func (k *checks) mayOverlap(a, b *deed) bool {
	return k.excuse != "" || k.expirable || a.forgotten || b.forgotten ||
		k.apart && (len(a.electors) == 0 || !slices.Equal(a.electors, b.electors))
}

// lost checks promise 2: is there a reason that a lease may be lost for?
func (k *checks) lost(h *Host) {
	w, d := k.w, k.deed(h.ID)
	w.trace.line(w, h, "has lost slot %d", h.Core.Inside().LastSlot())
	switch {
	case d.forgotten:
		w.tally[lostForgotten]++
	case d.free || d.slot == 0:
	case k.expirable:
		w.tally[lostExpired]++
	case k.excuse != "", k.apart:
		w.tally[lostConflict]++
	default:
		w.breaks("2", "%s lost slot %d for no reason", h.Config.Name, d.slot)
	}
	*d = deed{forgotten: d.forgotten} // a crash may bring the lease back, to be lost again
	boot := h.boots
	w.after(w.between(0, 10*time.Second), func() {
		if h.boots == boot {
			h.deliver(func() { h.Do(func(now core.Time) { h.Core.Release(now) }) })
		}
	})
}
