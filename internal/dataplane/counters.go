// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"maps"
	"sync"

	"flanneld/route"
)

// Sum is what planes counted. Drops are named by direction and reason, such as
// egress-no-route; reasons without drops are left out.
type Sum struct {
	Egress, Ingress route.Volume
	Drops           map[string]uint64
	Answers         route.Answers
}

// Totals adds up what planes count, one after the other. The zero value has
// counted nothing. Its methods may be called concurrently.
type Totals struct {
	// Carried is what the kernel carried instead of planes. Sum has it, too.
	Carried Carried
	// Dropped returns what the kernel dropped instead of planes, by kind; nil:
	// nothing. Sum has it, too. It is set before any method is called.
	Dropped func() map[string]uint64

	mu      sync.Mutex
	gone    Sum
	running func() route.Counters // nil: no plane
}

// Begin adds a plane, which counts until End.
func (t *Totals) Begin(stats func() route.Counters) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = stats
}

// End keeps what the plane has counted.
func (t *Totals) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running != nil {
		t.gone = t.gone.plus(t.running())
		t.running = nil
	}
}

// Sum is what all planes have counted so far, and what the kernel has carried.
func (t *Totals) Sum() Sum {
	t.mu.Lock()
	defer t.mu.Unlock()
	var now route.Counters
	if t.running != nil {
		now = t.running()
	}
	sum, kernel := t.gone.plus(now), t.Carried.All()
	sum.Egress, sum.Ingress = add(sum.Egress, kernel.Egress), add(sum.Ingress, kernel.Ingress)
	if t.Dropped != nil {
		for kind, n := range t.Dropped() {
			if n > 0 {
				sum.Drops[kind] += n
			}
		}
	}
	return sum
}

// plus returns a new sum.
func (s Sum) plus(c route.Counters) Sum {
	sum := Sum{Egress: add(s.Egress, c.Egress.Volume), Ingress: add(s.Ingress, c.Ingress.Volume), Drops: map[string]uint64{}, Answers: s.Answers}
	sum.Answers.Sent += c.Answers.Sent
	sum.Answers.Suppressed += c.Answers.Suppressed
	sum.Answers.Failed += c.Answers.Failed
	maps.Copy(sum.Drops, s.Drops)
	for direction, drops := range map[string][]route.Drop{"egress": c.Egress.Drops, "ingress": c.Ingress.Drops} {
		for _, drop := range drops {
			if drop.Packets > 0 {
				sum.Drops[DropKind(direction, drop.Reason)] += drop.Packets
			}
		}
	}
	return sum
}

// DropKind names a kind of drop, such as egress-no-route.
func DropKind(direction string, r route.Reason) string { return direction + "-" + r.String() }

func add(a, b route.Volume) route.Volume {
	return route.Volume{Packets: a.Packets + b.Packets, Bytes: a.Bytes + b.Bytes}
}
