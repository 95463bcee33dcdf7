// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"
	"time"
)

// Faults of the links between hosts.

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
