// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"flanneld/route"
)

// choosePath gives a route the path that packets take, and says why. A peer
// that no path leads to is unreachable.
func (p *Plan) choosePath(r *Route, all []Candidate, keep bool) {
	r.Candidates = all
	var ok bool
	if r.Path, ok = choose(all, keep); !ok {
		reason := "no path leads to it: " + passedOver(all)
		p.Notes[r.ID] = Note{Text: reason}
		r.Kind = route.Unreachable
		r.Why += ", but " + reason + answered
		return
	}
	r.useShortcut()
	if len(all) == 1 && !r.Path.Kernel() {
		return // nothing was chosen
	}
	i := slices.IndexFunc(all, func(c Candidate) bool { return c.Used })
	r.Why += "; by " + string(r.Path)
	if all[i].Why != "" {
		r.Why += ", " + all[i].Why
	}
	if i > 0 {
		r.Why += "; not " + passedOver(all[:i])
	}
}

// holdPath keeps a kernel path to a node that gossip reports dead, as long as
// probes prove that its kernel goes on without its daemon. No other path is
// worth a try.
func holdPath(r *Route, all []Candidate) {
	for _, c := range all {
		if !c.Path.Kernel() || !c.Possible || c.State != Proven {
			continue
		}
		c.Used = true
		r.Kind, r.Path, r.Candidates = route.Via, c.Path, []Candidate{c}
		r.Why = fmt.Sprintf("the node holds the lease; its daemon is dead, but its kernel answers; by %s", c.Path)
		return
	}
}

// Undecided reports whether a path may still prove itself: both hosts have it,
// it is not used, and it has not failed.
func (r Route) Undecided(path Path) bool {
	c, ok := r.Candidate(path)
	return ok && c.Possible && !c.Used && c.State == Unproven
}

// Candidate returns one of the Candidates; not ok: the path is none.
func (r Route) Candidate(path Path) (c Candidate, ok bool) {
	i := slices.IndexFunc(r.Candidates, func(c Candidate) bool { return c.Path == path })
	if i < 0 {
		return c, false
	}
	return r.Candidates[i], true
}

// Pathless reports whether the holder is alive, and no candidate leads to it.
func (r Route) Pathless() bool { return r.Kind == route.Unreachable && r.Live && len(r.Candidates) > 0 }

// choose marks the candidate that is used: the first that is proven. PathUDP
// needs no proof. Where neither is there, a path that is not proven yet is
// better than none. A path that has failed is used only with keep: without,
// packets are answered with an error at once. It is not ok where no path is
// left.
func choose(all []Candidate, keep bool) (used Path, ok bool) {
	first := func(fits func(Candidate) bool) int {
		return slices.IndexFunc(all, func(c Candidate) bool { return c.Possible && fits(c) })
	}
	i := first(func(c Candidate) bool { return c.State == Proven || !c.Path.Kernel() })
	if i < 0 {
		i = first(func(c Candidate) bool { return c.State == Unproven })
	}
	if i < 0 && keep {
		i = first(func(Candidate) bool { return true })
	}
	if i < 0 {
		return "", false
	}
	all[i].Used = true
	return all[i].Path, true
}

// passedOver says of each candidate why it is not used.
func passedOver(all []Candidate) string {
	texts := make([]string, len(all))
	for i, c := range all {
		texts[i] = fmt.Sprintf("%s (%s)", c.Path, cmp.Or(c.Why, c.State.String()))
	}
	return strings.Join(texts, ", ")
}

// Lanes is what the lanes do with packets that the kernel gives to the overlay
// device. They send them to a peer that takes datagrams, also while a kernel
// path is used: its route may be missing for a moment. Any other peer is
// unreachable for them.
func (r Route) Lanes() route.Kind {
	datagrams := func(c Candidate) bool { return c.Possible && !c.Path.Kernel() }
	if r.Kind == route.Via && !slices.ContainsFunc(r.Candidates, datagrams) {
		return route.Unreachable
	}
	return r.Kind
}
