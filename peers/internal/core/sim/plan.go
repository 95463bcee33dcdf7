// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

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
	p.finish()
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

// finish heals everything, waits, and checks what must hold then.
func (p *Plan) finish() {
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
func anyHost(*Host) bool   { return true }
