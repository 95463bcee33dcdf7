// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Checks of what must hold in the end.

// died checks promise 6 later, if nothing else happens until then. It does so
// for a host of a network that was whole since some time ago; -1: it was not.
func (k *checks) died(h *Host, wholeSince time.Duration) {
	w := k.w
	if wholeSince < 0 || w.Now-wholeSince < 10*time.Second {
		return
	}
	boots, disturbed := w.boots, w.disturbed
	w.after(deathBound, func() {
		if w.boots == boots && w.disturbed == disturbed && h.Core == nil {
			k.seenDead(h)
		}
	})
}

func (k *checks) seenDead(dead *Host) {
	for _, h := range k.w.live() {
		if h.ID == dead.ID || h.Core.Inside().Table() == nil {
			continue
		}
		k.w.tally[checkedDeath]++
		if h.Core.Inside().Up(dead.ID) {
			k.w.breaks("6", "%s still takes %s for alive", h.Config.Name, dead.Config.Name)
		}
	}
}

// keepsRoutes checks promise 6 at the end: the dead keep their subnets.
func (k *checks) keepsRoutes() {
	if k.expirable || k.excuse != "" || k.apart {
		return
	}
	for _, id := range slices.SortedFunc(maps.Keys(k.deeds), record.CompareIDs) {
		d := k.deeds[id]
		if !d.keptDead(id) {
			continue
		}
		for _, h := range k.w.live() {
			k.w.tally[checkedRoute]++
			if l := h.Core.Inside().Table().Leases[d.slot]; (l == nil || l.Rec.Holder != id) && !(h.Core.Inside().Rank(d.slot) < 2 && k.w.keptFor(d.slot, id)) {
				k.w.breaks("6", "%s has dropped slot %d of the dead %s", h.Config.Name, d.slot, d.host.Config.Name)
			}
		}
	}
}

// keptFor reports whether a running host that lost its table promises a slot
// only to its holder.
func (w *World) keptFor(s record.Slot, id record.NodeID) bool {
	return slices.ContainsFunc(w.live(), func(h *Host) bool {
		p, ok := h.Core.Inside().PromiseOf(s)
		return ok && p.Claimant == id
	})
}

// keptDead reports whether it is of a dead host.
func (d *deed) keptDead(id record.NodeID) bool {
	h := d.host
	return d.slot != 0 && !d.free && !d.forgotten && h.Core == nil && h.ID == id
}

// Healed reports whether all hosts know the same and see the same.
func (w *World) Healed() bool { return w.unhealed() == "" }

// unhealed says in what way they do not.
func (w *World) unhealed() string {
	if text := w.unequal(); text != "" {
		return text
	}
	for _, h := range w.Hosts {
		for _, o := range w.Hosts {
			if h.Core != nil && o.ID != h.ID && w.runs(o.ID) != h.Core.Inside().Up(o.ID) {
				return h.Config.Name + " is wrong about whether " + o.Config.Name + " is alive"
			}
		}
	}
	return ""
}

// unequal is a host that does not know what the others know, in words; ""
// without one.
func (w *World) unequal() string {
	for _, h := range w.Hosts {
		if h.Core != nil && (!h.up || h.Core.Inside().Table() == nil) {
			return h.Config.Name + " is in no network"
		}
	}
	if !w.TablesEqual() {
		return "the tables differ" + w.difference()
	}
	return ""
}

// probeRound is how long a host may take to probe all others: a farewell that
// one has missed is noticed then.
func (w *World) probeRound() time.Duration { return time.Duration(len(w.Hosts)) * probeEvery }

// runs reports whether a node runs, be it as a clone.
func (w *World) runs(id record.NodeID) bool {
	return slices.ContainsFunc(w.Hosts, func(h *Host) bool { return h.ID == id && h.Core != nil })
}

// served reports whether every host that can hold a lease has one. It counts
// why the others have none.
func (w *World) served(final bool) bool {
	for _, h := range w.Hosts {
		if h.Core == nil || h.Core.Inside().Claim().Phase == core.PhaseConfirmed {
			continue
		}
		full, stuck := h.noneFree(), h.noMajority()
		if !final && !full && !stuck {
			return false
		}
		switch {
		case full:
			w.tally[checkedFull]++
		case stuck:
			w.tally[checkedStuck]++
		default:
			return false
		}
	}
	return true
}

// noneFree reports whether all slots that are handed out are held.
func (h *Host) noneFree() bool {
	c := h.Core
	if c.Inside().Table() == nil {
		return false
	}
	if slot, ok := c.Inside().Pinned(); ok {
		return h.World.heldFor(slot) || h.World.promisedAway(slot)
	}
	low, high := c.Network().Eligible()
	for s := low; s <= high; s++ {
		if !h.World.heldFor(s) && !h.World.promisedAway(s) {
			return false
		}
	}
	return true
}

// heldFor reports whether a running host considers a slot held. A host that has
// restarted counts the lease TTL of the dead anew.
func (w *World) heldFor(s record.Slot) bool {
	return slices.ContainsFunc(w.Hosts, func(h *Host) bool {
		return h.Core != nil && h.Core.Inside().Table() != nil && h.Core.Inside().Rank(s) == 3
	})
}

// promisedAway reports whether a slot is promised to a node that does not run.
// That node may have confirmed its lease before it died, so its lease TTL has
// to pass.
func (w *World) promisedAway(s record.Slot) bool {
	for _, h := range w.Hosts {
		if h.Core == nil {
			continue
		}
		if p, ok := h.Core.Inside().PromiseOf(s); ok && !p.Claimant.IsZero() && !w.runs(p.Claimant) {
			return true
		}
	}
	return false
}

// hasCompany reports whether another node of the network runs.
func (h *Host) hasCompany() bool {
	return slices.ContainsFunc(h.World.Hosts, func(o *Host) bool { return o.ID != h.ID && o.up && o.Core.Inside().Table() != nil })
}

// noMajority reports whether too few holders run to grant anything.
func (h *Host) noMajority() bool {
	c := h.Core
	if c.Inside().Table() == nil {
		return false
	}
	if len(c.Inside().Table().Leases) == 0 { // no host is left that remembers any
		return true
	}
	if !h.met && !h.hasCompany() { // those it knows may have a majority
		return true
	}
	electors, running, senior := c.Inside().Electors(), 0, false
	for _, id := range electors {
		if h.World.runs(id) {
			running++
			senior = senior || id == c.Inside().Senior()
		}
	}
	all := len(electors) + h.World.owedTo(electors)
	return len(electors) > 0 && 2*running <= all && !(2*running == all && senior)
}

// owedTo counts the nodes that do not run, and may hold a lease by a promise of
// a holder that does.
func (w *World) owedTo(holders []record.NodeID) int {
	owed := map[record.NodeID]bool{}
	for _, h := range w.Hosts {
		if h.Core == nil || !slices.Contains(holders, h.ID) {
			continue
		}
		for _, id := range h.Core.Inside().PossibleHolders() {
			if !w.runs(id) && !slices.Contains(holders, id) {
				owed[id] = true
			}
		}
	}
	return len(owed)
}

// difference is a record that not all live hosts have.
func (w *World) difference() string {
	all := map[string]int{}
	hosts := 0
	for _, h := range w.Hosts {
		if !h.up || h.Core.Inside().Table() == nil {
			continue
		}
		hosts++
		for _, raw := range h.Core.Inside().Table().Records(1<<record.Parts - 1) {
			all[string(raw)]++
		}
	}
	for _, raw := range slices.Sorted(maps.Keys(all)) {
		e, _ := record.OpenEnvelope([]byte(raw))
		if all[raw] < hosts && e.Kind != record.KindForget {
			return fmt.Sprintf(", for one %s is with %d of %d", describeRecords(w, [][]byte{[]byte(raw)}), all[raw], hosts)
		}
	}
	return ""
}
