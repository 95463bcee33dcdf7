// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Faults of single hosts.

func (p *Plan) crash() {
	if h := p.some(running); h != nil {
		since := p.w.checks.wholeSince
		h.stop(p.w.chance(0.5))
		p.w.checks.died(h, since)
	}
}

// die stops one in a network that has come to rest, and nothing else happens
// until all others must have noticed.
func (p *Plan) die() {
	p.w.Run(15 * time.Second)
	p.crash()
	p.w.Run(deathBound + time.Second)
}

// armCrash chooses a moment of the next disk write to stop at.
func (p *Plan) armCrash() {
	if h := p.some(anyHost); h != nil {
		h.crashAt = crashBefore + crashPoint(p.w.rand.IntN(3))
	}
}

// older puts a copy of some time ago back.
func (p *Plan) older() {
	h := p.some(func(h *Host) bool { return len(h.Disk.past) > 0 && !h.leaving })
	if h == nil {
		return
	}
	h.stop(false)
	b := pick(p.w, h.Disk.past...)
	if r, err := core.Peek(b.durable); err != nil || !r.Network.Prefix.IsValid() {
		return // of before it was in any network
	}
	p.w.tally[restartsOlder]++
	p.w.trace.line(p.w, h, "gets an older disk")
	p.w.checks.excuses("an older disk")
	h.Disk.Durable, h.Disk.Synced, h.Disk.Table = b.durable, b.durable, b.table
	p.w.checks.deed(h.ID).slot = 0
	h.Boot()
}

func (p *Plan) withoutTable() {
	if h := p.some(anyHost); h != nil {
		h.stop(false)
		p.w.tally[restartsWithout]++
		h.Disk.Table = nil
		p.restart(h)
	}
}

// restart starts a host again some time later.
func (p *Plan) restart(h *Host) {
	boots := h.boots
	p.w.after(p.w.between(0, p.gap), func() {
		if h.boots == boots && h.Core == nil && !h.away {
			h.Boot()
		}
	})
}

// withoutDurable loses the file with lease and promises; the identity is kept.
func (p *Plan) withoutDurable() {
	h := p.some(func(h *Host) bool { return h.Disk.Synced != nil && !h.leaving && !p.cloned(h) })
	if h == nil || p.survivors(h) == 0 || p.wiped > 0 {
		return
	}
	p.wiped++
	h.stop(false)
	p.guest(h)
	h.LoseDurable()
	p.restart(h)
}

// wipe loses everything: the machine comes back as a new node.
func (p *Plan) wipe() {
	h := p.some(func(h *Host) bool { return h.Disk.Synced != nil && !h.leaving && !p.cloned(h) })
	if h == nil || p.survivors(h) == 0 || p.wiped > 1 {
		return
	}
	p.wiped++
	h.stop(false)
	p.w.tally[restartsWiped]++
	p.w.trace.line(p.w, h, "is wiped")
	h.Disk = Disk{}
	h.Identity = identityOf(len(p.w.Hosts) + p.wiped)
	h.ID = h.Identity.ID()
	h.Config.Identity = h.Identity
	p.guest(h)
	p.restart(h)
}

func (p *Plan) pause() {
	h := p.some(running)
	if h == nil {
		return
	}
	d := p.w.between(time.Second, 30*time.Second)
	what := pauses
	if p.w.chance(0.1) {
		d, what = p.w.between(30*time.Second, 600*time.Second), longPauses
	}
	p.w.tally[what]++
	p.trouble()
	p.w.trace.line(p.w, h, "is paused for %v", d)
	h.paused = true
	boots := h.boots
	p.w.after(d, func() {
		if h.boots == boots {
			h.resume()
		}
	})
	if what == longPauses {
		p.w.Run(p.w.between(0, d))
	}
}

func (p *Plan) fill() {
	if h := p.some(running); h != nil {
		p.w.tally[disksFull]++
		p.w.disturbed++
		h.Disk.Full = true
		p.w.trace.line(p.w, h, "disk is full")
		p.w.after(p.w.between(time.Second, 20*time.Second), func() { h.Disk.Full = false })
	}
}

func (p *Plan) leave() {
	h := p.some(func(h *Host) bool { return running(h) && !h.retiring && !h.leaving && !h.Disk.Full })
	if h != nil && p.survivors(h) > 0 && !p.cloned(h) {
		p.guest(h)
		h.Leave()
	}
}

// forget strikes out a node that the chosen host considers dead.
func (p *Plan) forget() {
	w := p.w
	h := p.some(running)
	if h == nil || h.Core.Inside().Table() == nil {
		return
	}
	var dead []record.NodeID
	for _, id := range h.Core.Inside().Table().SortedNodes() {
		if id != h.ID && !h.Core.Inside().Up(id) {
			dead = append(dead, id)
		}
	}
	if len(dead) == 0 {
		return
	}
	id := pick(w, dead...)
	_ = h.Forget(id)
}

// pin starts a host with --subnet.
func (p *Plan) pin() {
	h := p.some(ready)
	if h == nil {
		return
	}
	w := p.w
	w.tally[pinned]++
	n := seedNetwork(8)
	h.Config.Pin = n.SubnetOf(record.Slot(1 + w.rand.IntN(8)))
	w.trace.line(w, h, "is pinned to %s", h.Config.Pin)
	w.checks.deed(h.ID).free = true
	h.Boot()
}

// expire waits until the dead have lost their leases.
func (p *Plan) expire() {
	ttl := p.w.Hosts[0].Config.LeaseTTL
	if ttl > time.Hour || p.w.rand.IntN(3) > 0 && ttl > time.Minute {
		return
	}
	p.w.tally[expiries]++
	p.w.Run(ttl + p.w.between(0, ttl/4))
}

// move gives a running host another address.
func (p *Plan) move() {
	h := p.some(running)
	if h == nil {
		return
	}
	p.w.tally[moves]++
	p.w.disturbed++
	h.newAddress()
	p.w.trace.line(p.w, h, "moves to %d", h.place)
	h.swim.moved()
	h.Do(func(now core.Time) { h.Core.SetAddress(now, h.Config.Endpoint, h.Config.Gossip) })
}

// stopAll stops everything, and starts it again in another order.
func (p *Plan) stopAll() {
	w := p.w
	w.tally[allStopped]++
	power := w.chance(0.5)
	for _, h := range w.Hosts {
		h.stop(power)
	}
	w.Run(w.between(0, p.gap))
	for _, i := range w.rand.Perm(len(w.Hosts)) {
		if h := w.Hosts[i]; ready(h) && w.chance(0.9) {
			h.Boot()
			w.Run(w.between(0, p.gap/4))
		}
	}
}

// clone starts another machine with a copy of a state directory.
func (p *Plan) clone() {
	w := p.w
	h := p.some(func(h *Host) bool {
		r, err := core.Peek(h.Disk.Synced)
		return err == nil && r.Network.Prefix.IsValid() && !h.leaving
	})
	if h == nil || w.tally[clones] > 0 {
		return
	}
	w.tally[clones]++
	w.checks.excuses("a clone")
	c := w.addHost(h.Identity, h.Config.Name+"'", false)
	place := c.Config
	c.Config = h.Config
	c.Config.MayFound, c.Config.Endpoint, c.Config.Gossip = false, place.Endpoint, place.Gossip
	c.Config.Name += "'"
	c.Disk.Durable, c.Disk.Synced, c.Disk.Table = h.Disk.Synced, h.Disk.Synced, h.Disk.Table
	c.clone = true
	p.guest(c)
	c.Boot()
}

func (p *Plan) startOne() {
	h := p.some(ready)
	if h == nil {
		h = p.some(func(h *Host) bool { return h.Core == nil }) // one that had left, or failed
	}
	if h != nil {
		h.Boot()
	}
}

func (p *Plan) startAll() {
	p.w.tally[massStarts]++
	for _, h := range p.w.Hosts {
		if ready(h) {
			h.Boot()
		}
	}
}

// survivors is how many others remember the network, however they are stopped.
func (p *Plan) survivors(but *Host) int {
	n := 0
	for _, h := range p.w.Hosts {
		if h != but && !h.away && !h.retiring && !h.clone && remembers(h.Disk.Synced) && remembers(h.Disk.Durable) {
			n++
		}
	}
	return n
}

// cloned reports whether a host's identity is on another disk, too.
func (p *Plan) cloned(h *Host) bool {
	return slices.ContainsFunc(p.w.Hosts, func(o *Host) bool { return o != h && o.ID == h.ID })
}

// guest makes a host one that joins.
func (p *Plan) guest(h *Host) {
	h.Config.MayFound = false
	if len(h.Seeds) == 0 {
		for _, o := range p.w.Hosts {
			if o != h && len(h.Seeds) < 3 {
				h.Seeds = append(h.Seeds, o)
			}
		}
	}
}

func remembers(durable []byte) bool {
	r, err := core.Peek(durable)
	return err == nil && r.Network.Prefix.IsValid()
}
