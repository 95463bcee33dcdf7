// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"time"

	"flanneld/peers/internal/core"
)

// LeaveWait is how long a farewell waits for claims under way.
const LeaveWait = 2 * time.Second

// Leave hands the lease back, once the claimants that hold a promise of this
// host have their leases.
func (h *Host) Leave() {
	if h.retiring {
		return
	}
	h.retiring = true
	h.retire(h.boots, h.World.Now)
}

func (h *Host) retire(boot int, since time.Duration) {
	if h.boots != boot {
		return
	}
	if !h.up || h.Disk.Full || h.paused {
		h.retiring = false
		return
	}
	owing := false
	h.Do(func(now core.Time) { owing = h.Core.Retire(now) })
	if owing && h.World.Now-since < LeaveWait {
		h.World.after(20*time.Millisecond, func() { h.retire(boot, since) })
		return
	}
	h.depart()
}

// depart gives up the lease: durably first, and told to others after that. The
// core is left alone meanwhile.
func (h *Host) depart() {
	h.World.tally[leaves]++
	h.World.trace.line(h.World, h, "leaves")
	h.World.checks.leaves(h)
	h.Core.Leave(h.World.Now - h.started)
	e := h.Core.Effects()
	h.leaving, h.away, h.paused = true, true, true
	h.Config.MayFound = false // a host that comes back after a farewell comes back as a guest
	if e.Save == nil {
		h.farewell(e)
		return
	}
	h.write(e.Save)
	h.awaitSaved(e)
}

// awaitSaved says goodbye once the disk has the last durable state.
func (h *Host) awaitSaved(e core.Effects) {
	boot := h.boots
	h.World.after(5*time.Millisecond, func() {
		switch {
		case h.boots != boot:
		case h.Disk.token >= e.Save.Token:
			h.farewell(e)
		default:
			h.awaitSaved(e)
		}
	})
}

func (h *Host) farewell(e core.Effects) {
	h.World.checks.left(h)
	h.announce(e)
	h.swim.farewell()
	if !h.World.chance(0.1) { // killed before that
		h.Disk.Table = h.Core.State()
	}
	h.end()
}
