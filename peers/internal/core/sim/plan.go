package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Plan is one schedule: how large the network is, what goes wrong in it, how
// often. Each run draws some of the faults only, so that others do not drown
// them.
type Plan struct {
	w      *World
	seed   uint64
	faults []fault
	steps  int
	gap    time.Duration // between two steps at most
	wiped  int
}

type fault struct {
	weight int
	do     func(*Plan)
}

var allFaults = []fault{
	{3, (*Plan).crash}, {3, (*Plan).armCrash}, {1, (*Plan).older}, {1, (*Plan).withoutTable}, {1, (*Plan).withoutDurable},
	{1, (*Plan).wipe}, {2, (*Plan).pause}, {3, (*Plan).split}, {2, (*Plan).oneWay}, {1, (*Plan).bridge}, {1, (*Plan).flap},
	{2, (*Plan).lose}, {2, (*Plan).late}, {1, (*Plan).fill}, {2, (*Plan).leave}, {2, (*Plan).forget}, {1, (*Plan).pin},
	{1, (*Plan).expire}, {1, (*Plan).move}, {1, (*Plan).stopAll}, {1, (*Plan).clone}, {2, (*Plan).startAll},
	{1, (*Plan).die}, {1, (*Plan).claimInParts},
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
func (p *Plan) size() int {
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
func newPlan(seed uint64, nodes int) *Plan {
	w := New(nil, seed, 0, nil)
	p := &Plan{w: w, seed: seed}
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
		h.Config.LeaseTTL = ttl
		if i == 0 {
			h.Config.Want = wantFor(n, slots)
		}
		if seed%64 == 0 {
			h.Config.Signer = nil
		}
	}
	for i, h := range w.Hosts[1:] {
		h.Seeds = []*Host{w.Hosts[0], w.Hosts[w.rand.IntN(i+1)]}
	}
	w.fineTicks = seed%16 == 1
	w.slowDisk = pick(w, time.Millisecond, time.Millisecond, 20*time.Millisecond, time.Second)
	w.Links.Base = pick(w, time.Millisecond, 20*time.Millisecond, 100*time.Millisecond)
	w.Links.Loss = pick(w, 0, 0, 0.02, 0.05)
	w.Links.Double = pick(w, 0, 0.1)
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

func pick[T any](w *World, from ...T) T { return from[w.rand.IntN(len(from))] }

// choose draws the faults of this run.
func (p *Plan) choose() {
	for _, f := range allFaults {
		if p.w.chance(0.35) {
			for range f.weight {
				p.faults = append(p.faults, f)
			}
		}
	}
}

// play runs the schedule and checks the promises; it returns the broken one, or
// "".
func (p *Plan) play() string {
	w := p.w
	w.tally[schedules]++
	p.begin()
	for range p.steps {
		w.Run(w.between(0, p.gap))
		if w.broken != "" {
			return w.broken
		}
		if w.chance(0.3) || len(p.faults) == 0 {
			p.startOne()
		} else {
			pick(w, p.faults...).do(p)
		}
	}
	w.Run(w.between(0, p.gap))
	p.settle()
	return w.broken
}

// begin starts the founder, and the others: at once, or after another, or some.
func (p *Plan) begin() {
	w := p.w
	w.Hosts[0].Boot()
	w.Run(w.between(0, 2*time.Second))
	switch w.rand.IntN(4) {
	case 0: // they come up in the course of the schedule
	case 1:
		for range w.Hosts {
			p.startOne()
			w.Run(w.between(0, time.Second))
		}
	case 2:
		p.startAll()
	case 3:
		p.startAll()
		w.Run(10 * time.Second)
	}
}

// settle heals everything, waits, and checks what must hold then.
func (p *Plan) settle() {
	w := p.w
	p.heal()
	keepDown := w.chance(0.2)
	p.nameSeeds()
	for _, h := range w.Hosts {
		if h.Core == nil && !h.away && !(keepDown && p.survivors(h) > 2 && w.chance(0.3)) {
			h.Boot()
		}
	}
	p.startOneThatRemembers()
	p.until(healBound, "5", "not healed:", func() bool { return w.unequal() == "" })
	p.until(healBound+w.probeRound(), "5", "not healed:", w.Healed)
	w.tally[checkedEqual]++
	p.until(claimBound, "claims", "a host has no lease that could have one", func() bool { return w.served(false) })
	w.tally[checkedClaims]++
	p.until(healBound, "5", "not healed:", func() bool { return w.unequal() == "" })
	p.until(healBound+w.probeRound(), "5", "not healed:", w.Healed)
	w.served(true)
	if w.broken == "" {
		w.Run(time.Second)
		w.checks.keepsRoutes()
		if w.checks.wholeSince >= 0 {
			w.checks.searchOverlaps()
		}
	}
}

// startOneThatRemembers starts a host that remembers the network. Otherwise
// newcomers could wait for hosts that are down.
func (p *Plan) startOneThatRemembers() {
	if slices.ContainsFunc(p.w.Hosts, func(h *Host) bool { return h.Core != nil && remembers(h.Disk.Durable) }) {
		return
	}
	for _, h := range p.w.Hosts {
		if ready(h) && remembers(h.Disk.Durable) {
			h.Boot()
			return
		}
	}
}

// nameSeeds gives each host others to join: its seeds may have left, or have
// been wiped.
func (p *Plan) nameSeeds() {
	for _, h := range p.w.Hosts {
		if !h.Config.MayFound {
			h.Seeds = slices.DeleteFunc(slices.Clone(p.w.Hosts), func(o *Host) bool { return o == h || o.away })
			h.Seeds = h.Seeds[:min(len(h.Seeds), 8)]
		}
	}
}

// until waits for something, for a while; the promise is broken when it does
// not come.
func (p *Plan) until(bound time.Duration, promise, what string, ok func() bool) {
	w := p.w
	for end := w.Now + bound; w.broken == "" && !ok(); w.Run(time.Second) {
		if w.Now >= end {
			w.breaks(promise, "%v after healing: %s %s", bound, what, w.unhealed())
		}
	}
}

func (p *Plan) heal() {
	w := p.w
	w.healing = true
	w.Links.Cuts, w.checks.split = nil, nil
	w.Links.slow, w.Links.Loss = 0, min(w.Links.Loss, 0.05)
	for _, h := range w.Hosts {
		h.crashAt, h.Disk.Full = 0, false
		h.resume()
		if h.Core == nil && h.Fatal != nil { // an operator has read the error, and takes the flag away
			h.Config.Pin, h.away = netip.Prefix{}, false
		}
	}
	w.trace.line(w, nil, "everything is healed")
}

// some picks a random host that fits, nil without one.
func (p *Plan) some(fits func(*Host) bool) *Host {
	fitting := slices.DeleteFunc(slices.Clone(p.w.Hosts), func(h *Host) bool { return !fits(h) })
	if len(fitting) == 0 {
		return nil
	}
	return pick(p.w, fitting...)
}

func running(h *Host) bool { return h.up && !h.paused }
func ready(h *Host) bool   { return h.Core == nil && !h.away }
func anybody(*Host) bool   { return true }

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
	if h := p.some(anybody); h != nil {
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
	if h := p.some(anybody); h != nil {
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

func remembers(durable []byte) bool {
	r, err := core.Peek(durable)
	return err == nil && r.Network.Prefix.IsValid()
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

// trouble is called when a fault begins that keeps live nodes apart, be it
// while leases are being granted.
func (p *Plan) trouble() {
	p.w.disturbed++
	p.w.checks.disturb()
	if !p.w.quiet() {
		p.w.checks.apart = true
	}
}

// cutFor puts a cut in place, and takes it away some time later.
func (p *Plan) cutFor(c *Cut) {
	w := p.w
	if len(w.Links.Cuts) > 2 {
		return
	}
	p.trouble()
	c.since = w.Now
	w.Links.Cuts = append(w.Links.Cuts, c)
	w.checks.split = nil
	if c.whole != nil {
		w.checks.splits(c)
	}
	w.trace.line(w, nil, "cut: %s", c.name)
	w.after(w.between(time.Second, 60*time.Second), func() { p.join(c) })
}

func (p *Plan) join(c *Cut) {
	w := p.w
	if i := slices.Index(w.Links.Cuts, c); i >= 0 {
		w.Links.Cuts = slices.Delete(w.Links.Cuts, i, i+1)
		w.checks.split = nil
		w.trace.line(w, nil, "cut healed: %s", c.name)
	}
}

func (p *Plan) sides(k int) []int8 {
	s := make([]int8, len(p.w.Hosts))
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

func (p *Plan) split() {
	p.w.tally[cutsSplit]++
	s := p.sides(2)
	p.cutFor(&Cut{name: "in two", whole: s, Blocks: func(a, b int) bool { return side(s, a) != side(s, b) }})
}

// claimInParts cuts a network that has come to rest, and starts some in both
// parts.
func (p *Plan) claimInParts() {
	p.w.Run(15 * time.Second)
	p.split()
	for range 3 {
		p.startOne()
		p.w.Run(p.w.between(0, 10*time.Second))
	}
}

func (p *Plan) oneWay() {
	p.w.tally[cutsOneWay]++
	s := p.sides(2)
	p.cutFor(&Cut{name: "one way", Blocks: func(a, b int) bool { return side(s, a) < side(s, b) }})
}

func (p *Plan) bridge() {
	p.w.tally[cutsBridge]++
	s := p.sides(2)
	s[p.w.rand.IntN(len(s))] = 2
	p.cutFor(&Cut{name: "with a node between", Blocks: func(a, b int) bool { return side(s, a)+side(s, b) == 1 }})
}

func (p *Plan) flap() {
	w := p.w
	w.tally[cutsFlapping]++
	s, period := p.sides(2), w.between(200*time.Millisecond, 8*time.Second)
	p.cutFor(&Cut{name: "flapping", Blocks: func(a, b int) bool { return side(s, a) != side(s, b) && w.Now/period%2 == 0 }})
}

func (p *Plan) lose() {
	w, before := p.w, p.w.Links.Loss
	w.tally[phasesLoss]++
	p.trouble()
	w.Links.Loss = 0.05 + 0.35*w.rand.Float64()
	w.trace.line(w, nil, "loss of %.2f", w.Links.Loss)
	w.after(w.between(time.Second, 30*time.Second), func() { w.Links.Loss = min(before, 0.05) })
}

func (p *Plan) late() {
	w := p.w
	w.tally[phasesLate]++
	p.trouble()
	w.Links.slow, w.Links.slowMost = 0.3*w.rand.Float64(), w.between(time.Second, 30*time.Second)
	w.trace.line(w, nil, "datagrams are late by up to %v", w.Links.slowMost)
	w.after(w.between(time.Second, 30*time.Second), func() { w.Links.slow = 0 })
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
