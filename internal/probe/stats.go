// SPDX-License-Identifier: Apache-2.0

package probe

import "time"

// RoundTripBounds are the upper bounds of the classes of round trips, in
// ascending order. A last class has no bound.
var RoundTripBounds = [...]time.Duration{
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second,
}

// Stats is what a prober has sent to all targets since it was made, and what
// came of it. The numbers only grow.
type Stats struct {
	Sent     uint64 // probes
	Answered uint64
	Lost     uint64 // not answered in forgetTime; the others are under way
	// RoundTrips counts the answers by their round trip: one class for each of
	// RoundTripBounds, and one beyond.
	RoundTrips [len(RoundTripBounds) + 1]uint64
	RoundTrip  time.Duration // of all answers together
}

// Stats returns what was sent so far, and what came of it.
func (p *Prober) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// answered counts an answer.
func (s *Stats) answered(after time.Duration) {
	s.Answered++
	s.RoundTrip += after
	class := 0
	for class < len(RoundTripBounds) && after > RoundTripBounds[class] {
		class++
	}
	s.RoundTrips[class]++
}
