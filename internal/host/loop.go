// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"time"
)

// A Loop runs rounds in one goroutine: on signals, and now and then. A nil
// channel never signals. A nil handler makes a round due: Wake and Tick at
// once, Links and Rules soon.
type Loop struct {
	Every time.Duration
	Pace  Pace
	Round func(ctx context.Context)
	Pulse *Pulse // tells how long a round takes; nil: nothing does

	Wake  <-chan struct{} // the program wants something else
	Links <-chan struct{} // the kernel reports a change of links
	Rules <-chan struct{} // the kernel reports a change of packet filter rules

	OnWake, OnLinks, OnRules, OnTick func(s *Schedule)
}

// Run loops until ctx ends.
func (l Loop) Run(ctx context.Context) {
	s := NewSchedule(l.Pace)
	defer s.Stop()
	tick := time.NewTicker(l.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.Wake:
			l.handle(l.OnWake, (*Schedule).Now, s)
		case <-l.Links:
			l.handle(l.OnLinks, (*Schedule).Soon, s)
		case <-l.Rules:
			l.handle(l.OnRules, (*Schedule).Soon, s)
		case <-tick.C:
			l.handle(l.OnTick, (*Schedule).Now, s)
		case <-s.timer.C:
			l.handle(nil, func(s *Schedule) { s.look(func() { l.Round(ctx) }) }, s)
		}
	}
}

func (l Loop) handle(own, usual func(*Schedule), s *Schedule) {
	l.Pulse.begin()
	defer l.Pulse.rest()
	if own == nil {
		own = usual
	}
	own(s)
}

// Poke wakes a loop that listens on a channel of capacity one.
func Poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
