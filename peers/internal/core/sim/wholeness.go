// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Checks of a network as a whole.

// watch looks at the whole network once a second.
func (k *checks) watch() {
	w := k.w
	if w.whole() {
		k.brokenAt = -1
		if k.wholeSince < 0 {
			k.wholeSince = w.Now
		}
		if w.Now-k.wholeSince >= healBound {
			k.searchOverlaps()
		}
	} else {
		k.wholeSince = -1
		if k.brokenAt < 0 {
			k.brokenAt = w.Now
		}
	}
	if k.brokenAt >= 0 && len(w.Hosts) > 0 && w.Now-k.brokenAt >= w.Hosts[0].Config.LeaseTTL*3/4 {
		k.expirable = true
	}
	k.watchSmaller()
	w.after(time.Second, k.watch)
}

// whole reports whether every host that holds a lease runs and can be reached.
func (w *World) whole() bool {
	if w.Links.lossy() {
		return false
	}
	for _, h := range w.Hosts {
		if h.Core != nil && (!h.up || h.paused || h.Disk.Full) || h.Core == nil && w.checks.deed(h.ID).mayHold() {
			return false
		}
	}
	return true
}

// disturb is called for everything that makes a network less than whole, be it
// for a moment.
func (k *checks) disturb() { k.wholeSince = -1 }

// searchOverlaps checks promise 1 in a network that has been whole for long.
func (k *checks) searchOverlaps() {
	k.w.tally[checkedWhole]++
	holders := map[record.Slot]*Host{}
	for _, h := range k.w.Hosts {
		s, ok := h.Holding()
		if !ok {
			continue
		}
		if o := holders[s]; o != nil {
			k.w.breaks("1", "%s and %s both hold slot %d in a whole network", o.Config.Name, h.Config.Name, s)
		}
		holders[s] = h
	}
}

// watchSmaller counts how long claims wait in a smaller part, to know that they
// do.
func (k *checks) watchSmaller() {
	if k.split == nil {
		return
	}
	for _, h := range k.w.Hosts {
		if h.up && h.Core.Inside().Claim().Phase == core.PhaseAsking && h.seen.since >= k.split.cut.since {
			k.w.tally[minorityClaims]++
		}
	}
}

// quiet reports whether all hosts know the same, and none is about to claim.
func (w *World) quiet() bool {
	for _, h := range w.Hosts {
		if h.Core != nil && (!h.up || h.Core.Inside().Claim().Phase != core.PhaseConfirmed) {
			return false
		}
	}
	return w.TablesEqual()
}

// splitTruth is what was true when a quiet network was cut in two.
type splitTruth struct {
	cut    *Cut
	sides  []int8 // of the holders
	senior int8   // the side of the longest-standing one
}

// splits takes note of the holders of all slots when a cut in two begins.
func (k *checks) splits(c *Cut) {
	w := k.w
	if len(w.Links.Cuts) != 1 || !w.quiet() || k.excuse != "" || k.expirable {
		return
	}
	live := w.live()
	if len(live) == 0 {
		return
	}
	s := &splitTruth{cut: c}
	for _, id := range live[0].Core.Inside().Electors() {
		h := w.hostOf(id)
		if h == nil {
			return // wiped
		}
		s.sides = append(s.sides, c.whole[h.Index])
		if id == live[0].Core.Inside().Senior() {
			s.senior = c.whole[h.Index]
		}
	}
	k.split = s
}
