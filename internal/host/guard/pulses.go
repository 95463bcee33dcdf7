// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"slices"
	"time"

	"flanneld/internal/host"
)

// pulses are those of the loops, by the part that each is named after.
type pulses map[string]*host.Pulse

// newPulses makes one for each part; that of a part without a loop stays at
// rest. The map is not changed any more.
func newPulses(parts host.List) pulses {
	all := pulses{}
	for _, part := range parts {
		all[part.Name()] = new(host.Pulse)
	}
	return all
}

func (all pulses) of(p host.Part) *host.Pulse { return all[p.Name()] }

// Hanging names the loops that have been at work for so long without a pause,
// by the part that each looks after, in order. iptables may wait 8 s for its
// lock in each command, and a round has several.
func (g *Guard) Hanging(limit time.Duration) (parts []string) {
	for name, pulse := range g.pulses {
		if pulse.AtWork() >= limit {
			parts = append(parts, name)
		}
	}
	slices.Sort(parts)
	return parts
}
