package core

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// plan is one schedule: how large the network is, what goes wrong in it, how
// often. Each run draws some of the faults only, so that others do not drown them.
type plan struct {
	w      *world
	seed   uint64
	faults []fault
	steps  int
	gap    time.Duration // between two steps at most
	wiped  int
}

type fault struct {
	weight int
	do     func(*plan)
}

var allFaults = []fault{
	{3, (*plan).crash}, {3, (*plan).armCrash}, {1, (*plan).older}, {1, (*plan).withoutTable}, {1, (*plan).withoutVault},
	{1, (*plan).wipe}, {2, (*plan).pause}, {3, (*plan).split}, {2, (*plan).oneWay}, {1, (*plan).bridge}, {1, (*plan).flap},
	{2, (*plan).lose}, {2, (*plan).late}, {1, (*plan).fill}, {2, (*plan).leave}, {2, (*plan).forget}, {1, (*plan).pin},
	{1, (*plan).expire}, {1, (*plan).move}, {1, (*plan).stopAll}, {1, (*plan).clone}, {2, (*plan).startAll},
	{1, (*plan).die}, {1, (*plan).claimInParts},
}

// seedNetwork is the network of a plan, with so many subnets to hand out.
func seedNetwork(slots int) record.Network {
	prefix := netip.MustParsePrefix("10.9.0.0/16")
	n := record.Network{Prefix: prefix, SubnetLen: 24}
	n.SubnetMin = netip.AddrFrom4([4]byte{10, 9, 1, 0})
	n.SubnetMax = netip.AddrFrom4([4]byte{10, 9, byte(slots), 0})
	return n
}

// size draws how many hosts there are: few, mostly.
func (p *plan) size() int {
	r := p.w.rand
	switch n := r.IntN(1000); {
	case n < 800:
		return 3 + r.IntN(5)
	case n < 960:
		return 8 + r.IntN(5)
	case n < 999:
		return 13 + r.IntN(8)
	}
	return 52
}

// newPlan makes the schedule of a seed; nodes, where not zero, is its size.
func newPlan(seed uint64, nodes int) *plan {
	w := newWorld(nil, seed, 0, nil)
	p := &plan{w: w, seed: seed}
	n := p.size()
	if nodes > 0 {
		n = nodes
	}
	slots := 200
	if r := w.rand.IntN(10); r < 4 && n < 100 {
		slots = max(2, n-1+w.rand.IntN(4)) // hardly enough, or not
	}
	if n == 52 {
		slots = 42 // two holders, 50 claims at once
	}
	ttl := pick(w, 24*time.Hour, 24*time.Hour, 24*time.Hour, 10*time.Minute, 45*time.Second)
	for i, k := range w.rand.Perm(n) {
		h := w.addHost(identityOf(k), fmt.Sprintf("n%d", i), i == 0)
		h.config.LeaseTTL = ttl
		if i == 0 {
			h.config.Want = wantFor(n, slots)
		}
		if seed%64 == 0 {
			h.config.Signer = nil
		}
	}
	for i, h := range w.hosts[1:] {
		h.seeds = []*host{w.hosts[0], w.hosts[w.rand.IntN(i+1)]}
	}
	w.fineTicks = seed%16 == 1
	w.slowDisk = pick(w, time.Millisecond, time.Millisecond, 20*time.Millisecond, time.Second)
	w.links.base = pick(w, time.Millisecond, 20*time.Millisecond, 100*time.Millisecond)
	w.links.loss = pick(w, 0, 0, 0.02, 0.05)
	w.links.double = pick(w, 0, 0.1)
	p.gap = pick(w, 300*time.Millisecond, 3*time.Second, 15*time.Second)
	p.steps = 3 + w.rand.IntN(16)
	p.choose()
	return p
}

func wantFor(n, slots int) record.Network {
	if n > 200 {
		return record.Network{Prefix: netip.MustParsePrefix("10.0.0.0/12"), SubnetLen: 24}
	}
	return seedNetwork(slots)
}

func pick[T any](w *world, from ...T) T { return from[w.rand.IntN(len(from))] }

// choose draws the faults of this run.
func (p *plan) choose() {
	for _, f := range allFaults {
		if p.w.chance(0.35) {
			for range f.weight {
				p.faults = append(p.faults, f)
			}
		}
	}
}

// play runs the schedule and checks the promises; it returns the broken one, or "".
func (p *plan) play() string {
	w := p.w
	w.tally[schedules]++
	p.begin()
	for range p.steps {
		w.run(w.between(0, p.gap))
		if w.broken != "" {
			return w.broken
		}
		if w.chance(0.3) || len(p.faults) == 0 {
			p.startOne()
		} else {
			pick(w, p.faults...).do(p)
		}
	}
	w.run(w.between(0, p.gap))
	p.settle()
	return w.broken
}

// begin starts the founder, and the others: at once, or after another, or some.
func (p *plan) begin() {
	w := p.w
	w.hosts[0].boot()
	w.run(w.between(0, 2*time.Second))
	switch w.rand.IntN(4) {
	case 0: // they come up in the course of the schedule
	case 1:
		for range w.hosts {
			p.startOne()
			w.run(w.between(0, time.Second))
		}
	case 2:
		p.startAll()
	case 3:
		p.startAll()
		w.run(10 * time.Second)
	}
}

// settle heals everything, waits, and checks what must hold then.
func (p *plan) settle() {
	w := p.w
	p.heal()
	keepDown := w.chance(0.2)
	p.nameSeeds()
	for _, h := range w.hosts {
		if h.core == nil && !h.away && !(keepDown && p.survivors(h) > 2 && w.chance(0.3)) {
			h.boot()
		}
	}
	p.startOneThatRemembers()
	p.until(healBound, "5", "not healed:", func() bool { return w.unequal() == "" })
	p.until(healBound+w.probeRound(), "5", "not healed:", w.healed)
	w.tally[checkedEqual]++
	p.until(claimBound, "claims", "somebody has no lease that could have one", func() bool { return w.served(false) })
	w.tally[checkedClaims]++
	p.until(healBound, "5", "not healed:", func() bool { return w.unequal() == "" })
	p.until(healBound+w.probeRound(), "5", "not healed:", w.healed)
	w.served(true)
	if w.broken == "" {
		w.run(time.Second)
		w.checks.keepsRoutes()
		if w.checks.wholeSince >= 0 {
			w.checks.searchOverlaps()
		}
	}
}

// startOneThatRemembers keeps newcomers from being left with those who are down.
func (p *plan) startOneThatRemembers() {
	if slices.ContainsFunc(p.w.hosts, func(h *host) bool { return h.core != nil && remembers(h.disk.vault) }) {
		return
	}
	for _, h := range p.w.hosts {
		if ready(h) && remembers(h.disk.vault) {
			h.boot()
			return
		}
	}
}

// nameSeeds gives everybody who may be lost somebody to join: seeds may have
// left, or have been wiped.
func (p *plan) nameSeeds() {
	for _, h := range p.w.hosts {
		if !h.config.MayFound {
			h.seeds = slices.DeleteFunc(slices.Clone(p.w.hosts), func(o *host) bool { return o == h || o.away })
			h.seeds = h.seeds[:min(len(h.seeds), 8)]
		}
	}
}

// until waits for something, for a while; the promise is broken when it does not
// come.
func (p *plan) until(bound time.Duration, promise, what string, ok func() bool) {
	w := p.w
	for end := w.now + bound; w.broken == "" && !ok(); w.run(time.Second) {
		if w.now >= end {
			w.breaks(promise, "%v after healing: %s %s", bound, what, w.unhealed())
		}
	}
}

func (p *plan) heal() {
	w := p.w
	w.healing = true
	w.links.cuts, w.checks.split = nil, nil
	w.links.slow, w.links.loss = 0, min(w.links.loss, 0.05)
	for _, h := range w.hosts {
		h.crashAt, h.disk.full = 0, false
		h.resume()
		if h.core == nil && h.fatal != nil { // somebody has read the error, and takes the flag away
			h.config.Pin, h.away = netip.Prefix{}, false
		}
	}
	w.trace.line(w, nil, "everything is healed")
}

// some picks a host at random of those that fit, or nil.
func (p *plan) some(fits func(*host) bool) *host {
	fitting := slices.DeleteFunc(slices.Clone(p.w.hosts), func(h *host) bool { return !fits(h) })
	if len(fitting) == 0 {
		return nil
	}
	return pick(p.w, fitting...)
}

func running(h *host) bool { return h.up && !h.paused }
func ready(h *host) bool   { return h.core == nil && !h.away }
func anybody(*host) bool   { return true }

func (p *plan) startOne() {
	h := p.some(ready)
	if h == nil {
		h = p.some(func(h *host) bool { return h.core == nil }) // one that had left, or failed
	}
	if h != nil {
		h.boot()
	}
}

func (p *plan) startAll() {
	p.w.tally[massStarts]++
	for _, h := range p.w.hosts {
		if ready(h) {
			h.boot()
		}
	}
}

func (p *plan) crash() {
	if h := p.some(running); h != nil {
		since := p.w.checks.wholeSince
		h.stop(p.w.chance(0.5))
		p.w.checks.died(h, since)
	}
}

// die stops one in a network that has come to rest, and nothing else happens
// until all others must have noticed.
func (p *plan) die() {
	p.w.run(15 * time.Second)
	p.crash()
	p.w.run(deathBound + time.Second)
}

// armCrash chooses a moment of the next disk write to stop at.
func (p *plan) armCrash() {
	if h := p.some(anybody); h != nil {
		h.crashAt = crashBefore + crashPoint(p.w.rand.IntN(3))
	}
}

// older puts a copy of some time ago back.
func (p *plan) older() {
	h := p.some(func(h *host) bool { return len(h.disk.past) > 0 && !h.leaving })
	if h == nil {
		return
	}
	h.stop(false)
	b := pick(p.w, h.disk.past...)
	if r, err := Peek(b.vault); err != nil || !r.Network.Prefix.IsValid() {
		return // of before it was in any network
	}
	p.w.tally[restartsOlder]++
	p.w.trace.line(p.w, h, "gets an older disk")
	p.w.checks.excuses("an older disk")
	h.disk.vault, h.disk.synced, h.disk.table = b.vault, b.vault, b.table
	p.w.checks.deed(h.id).slot = 0
	h.boot()
}

func (p *plan) withoutTable() {
	if h := p.some(anybody); h != nil {
		h.stop(false)
		p.w.tally[restartsWithout]++
		h.disk.table = nil
		p.restart(h)
	}
}

// restart starts a host again some time later.
func (p *plan) restart(h *host) {
	boots := h.boots
	p.w.after(p.w.between(0, p.gap), func() {
		if h.boots == boots && h.core == nil && !h.away {
			h.boot()
		}
	})
}

// survivors is how many others remember the network, however they are stopped.
func (p *plan) survivors(but *host) int {
	n := 0
	for _, h := range p.w.hosts {
		if h != but && !h.away && !h.retiring && !h.clone && remembers(h.disk.synced) && remembers(h.disk.vault) {
			n++
		}
	}
	return n
}

func remembers(vault []byte) bool {
	r, err := Peek(vault)
	return err == nil && r.Network.Prefix.IsValid()
}

// cloned reports whether a host's identity is on another disk, too.
func (p *plan) cloned(h *host) bool {
	return slices.ContainsFunc(p.w.hosts, func(o *host) bool { return o != h && o.id == h.id })
}

// guest makes a host one that joins.
func (p *plan) guest(h *host) {
	h.config.MayFound = false
	if len(h.seeds) == 0 {
		for _, o := range p.w.hosts {
			if o != h && len(h.seeds) < 3 {
				h.seeds = append(h.seeds, o)
			}
		}
	}
}

// withoutVault loses the file with lease and promises; the identity is kept.
func (p *plan) withoutVault() {
	h := p.some(func(h *host) bool { return h.disk.synced != nil && !h.leaving && !p.cloned(h) })
	if h == nil || p.survivors(h) == 0 || p.wiped > 0 {
		return
	}
	p.wiped++
	h.stop(false)
	p.guest(h)
	h.loseVault()
	p.restart(h)
}

// wipe loses everything: the machine comes back as a new node.
func (p *plan) wipe() {
	h := p.some(func(h *host) bool { return h.disk.synced != nil && !h.leaving && !p.cloned(h) })
	if h == nil || p.survivors(h) == 0 || p.wiped > 1 {
		return
	}
	p.wiped++
	h.stop(false)
	p.w.tally[restartsWiped]++
	p.w.trace.line(p.w, h, "is wiped")
	h.disk = disk{}
	h.identity = identityOf(len(p.w.hosts) + p.wiped)
	h.id = h.identity.ID()
	h.config.Identity = h.identity
	p.guest(h)
	p.restart(h)
}

func (p *plan) pause() {
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
		p.w.run(p.w.between(0, d))
	}
}

// trouble is called when a fault begins that keeps live nodes apart, be it while
// leases are being granted.
func (p *plan) trouble() {
	p.w.disturbed++
	p.w.checks.disturb()
	if !p.w.quiet() {
		p.w.checks.apart = true
	}
}

// cutFor puts a cut in place, and takes it away some time later.
func (p *plan) cutFor(c *cut) {
	w := p.w
	if len(w.links.cuts) > 2 {
		return
	}
	p.trouble()
	c.since = w.now
	w.links.cuts = append(w.links.cuts, c)
	w.checks.split = nil
	if c.whole != nil {
		w.checks.splits(c)
	}
	w.trace.line(w, nil, "cut: %s", c.name)
	w.after(w.between(time.Second, 60*time.Second), func() { p.join(c) })
}

func (p *plan) join(c *cut) {
	w := p.w
	if i := slices.Index(w.links.cuts, c); i >= 0 {
		w.links.cuts = slices.Delete(w.links.cuts, i, i+1)
		w.checks.split = nil
		w.trace.line(w, nil, "cut healed: %s", c.name)
	}
}

func (p *plan) sides(k int) []int8 {
	s := make([]int8, len(p.w.hosts))
	for i := range s {
		s[i] = int8(p.w.rand.IntN(k))
	}
	return s
}

func side(s []int8, i int) int8 {
	if i >= len(s) {
		return 0 // a clone, put there later
	}
	return s[i]
}

func (p *plan) split() {
	p.w.tally[cutsSplit]++
	s := p.sides(2)
	p.cutFor(&cut{name: "in two", whole: s, blocks: func(a, b int) bool { return side(s, a) != side(s, b) }})
}

// claimInParts cuts a network that has come to rest, and starts some in both parts.
func (p *plan) claimInParts() {
	p.w.run(15 * time.Second)
	p.split()
	for range 3 {
		p.startOne()
		p.w.run(p.w.between(0, 10*time.Second))
	}
}

func (p *plan) oneWay() {
	p.w.tally[cutsOneWay]++
	s := p.sides(2)
	p.cutFor(&cut{name: "one way", blocks: func(a, b int) bool { return side(s, a) < side(s, b) }})
}

func (p *plan) bridge() {
	p.w.tally[cutsBridge]++
	s := p.sides(2)
	s[p.w.rand.IntN(len(s))] = 2
	p.cutFor(&cut{name: "with a node between", blocks: func(a, b int) bool { return side(s, a)+side(s, b) == 1 }})
}

func (p *plan) flap() {
	w := p.w
	w.tally[cutsFlapping]++
	s, period := p.sides(2), w.between(200*time.Millisecond, 8*time.Second)
	p.cutFor(&cut{name: "flapping", blocks: func(a, b int) bool { return side(s, a) != side(s, b) && w.now/period%2 == 0 }})
}

func (p *plan) lose() {
	w, before := p.w, p.w.links.loss
	w.tally[phasesLoss]++
	p.trouble()
	w.links.loss = 0.05 + 0.35*w.rand.Float64()
	w.trace.line(w, nil, "loss of %.2f", w.links.loss)
	w.after(w.between(time.Second, 30*time.Second), func() { w.links.loss = min(before, 0.05) })
}

func (p *plan) late() {
	w := p.w
	w.tally[phasesLate]++
	p.trouble()
	w.links.slow, w.links.slowMost = 0.3*w.rand.Float64(), w.between(time.Second, 30*time.Second)
	w.trace.line(w, nil, "datagrams are late by up to %v", w.links.slowMost)
	w.after(w.between(time.Second, 30*time.Second), func() { w.links.slow = 0 })
}

func (p *plan) fill() {
	if h := p.some(running); h != nil {
		p.w.tally[disksFull]++
		p.w.disturbed++
		h.disk.full = true
		p.w.trace.line(p.w, h, "disk is full")
		p.w.after(p.w.between(time.Second, 20*time.Second), func() { h.disk.full = false })
	}
}

func (p *plan) leave() {
	h := p.some(func(h *host) bool { return running(h) && !h.retiring && !h.leaving && !h.disk.full })
	if h != nil && p.survivors(h) > 0 && !p.cloned(h) {
		p.guest(h)
		h.leave()
	}
}

// forget strikes out somebody who seems dead to the one it is said to.
func (p *plan) forget() {
	w := p.w
	h := p.some(running)
	if h == nil || h.core.Inside().Table() == nil {
		return
	}
	var dead []record.NodeID
	for _, id := range h.core.Inside().Table().SortedNodes() {
		if id != h.id && !h.core.Inside().Up(id) {
			dead = append(dead, id)
		}
	}
	if len(dead) == 0 {
		return
	}
	id := pick(w, dead...)
	_ = h.forget(id)
}

// pin starts a host with --subnet.
func (p *plan) pin() {
	h := p.some(ready)
	if h == nil {
		return
	}
	w := p.w
	w.tally[pinned]++
	n := seedNetwork(8)
	h.config.Pin = n.SubnetOf(record.Slot(1 + w.rand.IntN(8)))
	w.trace.line(w, h, "is pinned to %s", h.config.Pin)
	w.checks.deed(h.id).free = true
	h.boot()
}

// expire waits until the dead have lost their leases.
func (p *plan) expire() {
	ttl := p.w.hosts[0].config.LeaseTTL
	if ttl > time.Hour || p.w.rand.IntN(3) > 0 && ttl > time.Minute {
		return
	}
	p.w.tally[expiries]++
	p.w.run(ttl + p.w.between(0, ttl/4))
}

// move gives a running host another address.
func (p *plan) move() {
	h := p.some(running)
	if h == nil {
		return
	}
	p.w.tally[moves]++
	p.w.disturbed++
	h.newAddress()
	p.w.trace.line(p.w, h, "moves to %d", h.place)
	h.swim.moved()
	h.do(func(now Time) { h.core.SetAddress(now, h.config.Endpoint, h.config.Gossip) })
}

// stopAll stops everything, and starts it again in another order.
func (p *plan) stopAll() {
	w := p.w
	w.tally[allStopped]++
	power := w.chance(0.5)
	for _, h := range w.hosts {
		h.stop(power)
	}
	w.run(w.between(0, p.gap))
	for _, i := range w.rand.Perm(len(w.hosts)) {
		if h := w.hosts[i]; ready(h) && w.chance(0.9) {
			h.boot()
			w.run(w.between(0, p.gap/4))
		}
	}
}

// clone starts another machine with a copy of a state directory.
func (p *plan) clone() {
	w := p.w
	h := p.some(func(h *host) bool {
		r, err := Peek(h.disk.synced)
		return err == nil && r.Network.Prefix.IsValid() && !h.leaving
	})
	if h == nil || w.tally[clones] > 0 {
		return
	}
	w.tally[clones]++
	w.checks.excuses("a clone")
	c := w.addHost(h.identity, h.config.Name+"'", false)
	place := c.config
	c.config = h.config
	c.config.MayFound, c.config.Endpoint, c.config.Gossip = false, place.Endpoint, place.Gossip
	c.config.Name += "'"
	c.disk.vault, c.disk.synced, c.disk.table = h.disk.synced, h.disk.synced, h.disk.table
	c.clone = true
	p.guest(c)
	c.boot()
}
