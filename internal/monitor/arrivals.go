// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"maps"
	"sync"

	"flanneld/internal/plan"
)

// arrivals adds up what comes by kernel paths. The kernel's own counters begin
// anew when a peer comes back, and are gone with it. These only grow.
type arrivals struct {
	mu     sync.Mutex
	last   map[TrafficKey]Traffic // as the kernel counts; nil: not read yet
	byPeer map[TrafficKey]Traffic
	byPath map[plan.Path]Traffic
}

// take takes what the kernel has counted by now; nil: it cannot be read. What
// it counted before the first call is left out.
func (a *arrivals) take(counts map[TrafficKey]Traffic) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if counts == nil {
		return
	}
	first := a.last == nil
	if first {
		a.byPeer, a.byPath = map[TrafficKey]Traffic{}, map[plan.Path]Traffic{}
	}
	for key, now := range counts {
		grown := grownBy(a.last[key], now)
		if first {
			grown = Traffic{}
		}
		a.byPeer[key] = a.byPeer[key].plus(grown)
		a.byPath[key.Path] = a.byPath[key.Path].plus(grown)
	}
	maps.DeleteFunc(a.byPeer, func(key TrafficKey, _ Traffic) bool {
		_, known := counts[key]
		return !known
	})
	a.last = counts
}

// grownBy is what came between two readings of a counter that may have begun
// anew.
func grownBy(before, now Traffic) Traffic {
	if now.Packets < before.Packets || now.Bytes < before.Bytes {
		return now
	}
	return Traffic{now.Packets - before.Packets, now.Bytes - before.Bytes}
}

func (t Traffic) plus(o Traffic) Traffic { return Traffic{t.Packets + o.Packets, t.Bytes + o.Bytes} }

// Arrived returns what has come by kernel paths since New: from each lease that
// is known now, and by each path in all.
func (m *Monitor) Arrived() (byPeer map[TrafficKey]Traffic, byPath map[plan.Path]Traffic) {
	a := &m.proofs.arrivals
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.byPeer), maps.Clone(a.byPath)
}
