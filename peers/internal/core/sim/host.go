// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Host is a machine: an identity, a disk, and, while it runs, a daemon.
type Host struct {
	World    *World
	Index    int // in World.Hosts
	Identity record.Identity
	ID       record.NodeID
	Config   core.Config // of the next start
	place    int         // its address
	Seeds    []*Host     // to join
	Disk     Disk

	Core     *core.Core // nil: no daemon
	boots    int        // grows when the daemon starts or stops: events of an earlier one are dropped
	started  time.Duration
	up       bool // its start number is durable, and gossip runs
	lastAt   int  // where the last start was
	approved bool
	retiring bool // about to leave
	leaving  bool
	paused   bool
	inbox    []func() // what came in the meantime
	swim     swim

	clone   bool // a copy of another host, which may stop as a duplicate
	away    bool // not to be started again by chance: left, or stopped as a duplicate
	amnesia bool // the next start knows that its durable state was lost
	crashAt crashPoint
	Fatal   error    // that ended the daemon; nil: none did
	Logs    []string // of the core

	seen  seen                                               // of its claim, by the checks
	known map[record.Slot]*record.Stored[record.LeaseRecord] // see keepLeases
	met   bool                                               // this start has had another node's state

	sent         int64 // bytes
	sentMessages int64
}

// Boot starts the daemon on what the disk has.
func (h *Host) Boot() {
	w := h.World
	c := h.Config
	c.Rand = rand.New(rand.NewPCG(w.rand.Uint64(), 2))
	c.Instance = w.rand.Uint64()
	c.Amnesia = c.Amnesia || h.amnesia
	h.amnesia = false
	h.lastAt = 0
	if last, err := core.Peek(h.Disk.Durable); err == nil && last.Gossip.IsValid() {
		h.lastAt = placeOf(last.Gossip)
	}
	made, err := core.New(c, h.Disk.Durable, h.Disk.Table)
	if err != nil {
		w.breaks("8", "%s: a file that a crash left cannot be read: %v", h.Config.Name, err)
		return
	}
	made.Inside().WatchClaim(func(from, to core.Phase) { w.step(h, from, to) })
	h.boots++
	w.boots++
	w.tally[starts]++
	h.Core, h.started, h.Fatal, h.Config.Instance = made, w.Now, nil, c.Instance
	h.up, h.approved, h.leaving, h.met, h.away, h.paused, h.inbox = false, false, false, false, false, false, nil
	h.Disk.busy, h.Disk.waiting, h.Disk.tabling, h.Disk.token = false, nil, false, 0
	h.swim, h.known = newSwim(h), nil
	w.checks.disturb()
	w.checks.booted(h)
	w.trace.line(w, h, "starts at %d, number %d", h.place, made.StartNumber())
	h.Do(func(now core.Time) { made.Start(now) })
	w.damage.booted(h)
}

// goUp is what follows once the start is on disk: look for a duplicate where
// the last start was, then gossip.
func (h *Host) goUp() {
	if last := h.World.at(h.lastAt); h.lastAt != h.place && last != nil && last.ID == h.ID && h.connects(last) {
		h.stopAsDuplicate()
		return
	}
	h.up = true
	h.World.boots++
	h.swim.self.gen = h.World.boots
	h.World.trace.line(h.World, h, "is up")
	h.World.checks.resumed(h)
	h.beat(h.boots)
	h.lookForOthers()
}

// stop ends the daemon: by kill -9, or by a power failure, from which only
// comes back what was synced.
func (h *Host) stop(power bool) {
	if h.Core == nil {
		return
	}
	if power {
		h.World.tally[powerFailures]++
		h.Disk.losePower(h.World.chance(0.5))
	} else {
		h.World.tally[kills]++
	}
	h.World.trace.line(h.World, h, "stops, power failure %v", power)
	h.end()
}

func (h *Host) end() {
	h.World.checks.disturb()
	h.boots++
	h.Core, h.up, h.retiring, h.paused, h.inbox = nil, false, false, false, nil
	for _, o := range h.World.Hosts {
		if o != h && o.ID == h.ID && o.up {
			o.swim.outlive()
		}
	}
}

// Crash is kill -9.
func (h *Host) Crash() { h.stop(false) }

// stopAsDuplicate ends a daemon that has found its identity alive elsewhere.
func (h *Host) stopAsDuplicate() {
	h.World.tally[duplicatesStopped]++
	h.World.trace.line(h.World, h, "stops: there is a twin")
	h.away = true
	h.end()
}

// beat is the daemon's clock. While nothing is under way it may be slower than
// the daemon's, so that more schedules can be run.
func (h *Host) beat(boot int) {
	gap := 100 * time.Millisecond
	if h.Core.Inside().Claim().Phase == core.PhaseConfirmed && !h.World.fineTicks {
		gap = time.Second
	}
	h.World.after(gap, func() {
		if h.boots != boot {
			return
		}
		h.deliver(func() { // a timer that ran out during a pause fires at its end
			h.Do(func(now core.Time) { h.Core.Tick(now) })
			if h.boots == boot {
				h.swim.beat()
			}
			if h.boots == boot {
				h.beat(boot)
			}
		})
	})
}

// deliver hands something to the daemon: at once, or when its pause is over.
func (h *Host) deliver(do func()) {
	if h.Core == nil {
		return
	}
	if !h.paused {
		do()
		return
	}
	if len(h.inbox) < 4096 {
		h.inbox = append(h.inbox, do)
	}
}

// resume ends a pause: what has piled up is stale, and is handled all the same.
func (h *Host) resume() {
	if !h.paused || h.Core == nil || h.leaving {
		return
	}
	h.World.trace.line(h.World, h, "goes on, with %d things to do", len(h.inbox))
	h.paused = false
	pile := h.inbox
	h.inbox = nil
	h.World.tally[staleHandled] += int64(len(pile))
	for _, do := range pile {
		if h.Core != nil {
			do()
		}
	}
}

// Do makes an input and carries out its effects, as peers.engine does.
func (h *Host) Do(input func(now core.Time)) {
	if h.Core == nil {
		return
	}
	now := h.World.Now - h.started
	input(now)
	if !h.approved && h.Core.Network().Prefix.IsValid() {
		h.approved = true
		h.Core.Approve(now)
		h.Core.Tick(now)
	}
	h.carryOut(h.Core.Effects())
}

func (h *Host) carryOut(e core.Effects) {
	for _, l := range e.Log {
		if h.World.t != nil || h.World.trace.on() {
			h.Logs = append(h.Logs, fmt.Sprint(l.Text, l.Args))
			h.World.trace.line(h.World, h, "log: %s %v", l.Text, l.Args)
		}
	}
	h.announce(e)
	if e.TableChanged {
		h.keepTable()
	}
	if e.Save != nil {
		h.write(e.Save)
	} else if !h.up && !h.Disk.busy && h.Disk.waiting == nil {
		h.goUp()
	}
	if e.Changed {
		h.World.checks.observe(h)
	}
	if e.Fatal != nil && h.Core != nil {
		h.fail(e.Fatal)
	}
}

func (h *Host) announce(e core.Effects) {
	for _, s := range e.Sends {
		h.send(s.To, s.Msg)
	}
	for _, b := range e.Broadcasts {
		h.swim.tell(&rumor{key: b.Key, msg: b.Msg})
	}
}

// fail ends the daemon with an error, which an operator has to read.
func (h *Host) fail(err error) {
	h.Fatal = err
	h.World.tally[refusals]++
	h.World.trace.line(h.World, h, "fails: %v", err)
	h.away = true
	h.end()
}

// Forget strikes out another node.
func (h *Host) Forget(id record.NodeID) (err error) {
	w := h.World
	h.Do(func(now core.Time) {
		if err = h.Core.Forget(now, id); err != nil {
			return
		}
		w.tally[forgets]++
		w.trace.line(w, h, "forgets %s", w.nameOf(id))
		w.checks.deed(id).forgotten = true
		if w.Links.lossy() || w.runs(id) {
			w.checks.excuses("a live node was forgotten")
		}
		w.checks.split = nil
	})
	return err
}

// LoseDurable takes everything from the disk but the identity.
func (h *Host) LoseDurable() {
	h.World.tally[restartsAmnesia]++
	h.World.trace.line(h.World, h, "loses its vault")
	h.Disk, h.amnesia = Disk{}, true
	h.World.checks.deed(h.ID).slot = 0
	if h.World.tally[leaves] > 0 {
		h.World.checks.excuses("a durable state was lost that knew of a farewell")
	}
}

// Holding is the slot this host has confirmed, if its daemon runs.
func (h *Host) Holding() (record.Slot, bool) {
	if h.Core == nil || h.Core.Inside().Claim().Phase != core.PhaseConfirmed || h.leaving {
		return 0, false
	}
	return h.Core.Inside().Claim().Slot, true
}

// Lease is a live host's confirmed subnet, as its view shows it.
func (h *Host) Lease() (netip.Prefix, bool) {
	if h.Core == nil {
		return netip.Prefix{}, false
	}
	v := h.Core.View()
	if v.Lease != core.LeaseConfirmed {
		return netip.Prefix{}, false
	}
	for _, n := range v.Nodes {
		if n.Self {
			return n.Lease.Prefix, true
		}
	}
	return netip.Prefix{}, false
}

// Confirmed reports whether the host is up and holds a confirmed lease.
func (h *Host) Confirmed() bool { _, ok := h.Holding(); return ok && h.up }

// Clock is the time as the host's core counts it.
func (h *Host) Clock() core.Time { return h.World.Now - h.started }

// Disown takes note that the host has no right to its lease any more.
func (h *Host) Disown() { *h.World.checks.deed(h.ID) = deed{} }

// TakePlaceOf moves a host that is down to another one's address.
func (h *Host) TakePlaceOf(o *Host) {
	h.World.places[h.place], h.place = nil, o.place
	h.World.places[h.place] = h
	h.Config.Endpoint, h.Config.Gossip = o.Config.Endpoint, o.Config.Gossip
}
