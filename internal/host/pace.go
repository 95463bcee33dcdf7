// SPDX-License-Identifier: Apache-2.0

package host

import "time"

// A Pace bounds how often a part is ensured after changes. Several changes at
// once make one look. On a host that changes all the time, the next look waits
// for Factor times the duration of the last one, within Min and Max. So looking
// takes at most 1/Factor of a core.
type Pace struct {
	Delay    time.Duration // from a change to the look, to take in several
	Min, Max time.Duration // between two looks
	Factor   int
}

// Pause is the time from the end of a look that took so long to the next one.
func (p Pace) Pause(took time.Duration) time.Duration {
	return min(max(p.Min, time.Duration(p.Factor)*took), p.Max)
}

// A Schedule knows when the next look is due: at the earliest time that was
// asked for. It belongs to one goroutine.
type Schedule struct {
	pace     Pace
	timer    *time.Timer
	due      time.Time // zero: not due
	finished time.Time // of the last look; zero: none yet
	took     time.Duration
}

// NewSchedule makes a schedule with nothing due. Stop it in the end.
func NewSchedule(p Pace) *Schedule {
	s := &Schedule{pace: p, timer: time.NewTimer(time.Hour)}
	s.timer.Stop()
	return s
}

// Stop ends the timer.
func (s *Schedule) Stop() { s.timer.Stop() }

// Now makes a look due at once.
func (s *Schedule) Now() { s.after(0) }

// Soon makes a look due after a change: after the delay, and not before the
// pause is over.
func (s *Schedule) Soon() { s.after(max(s.pace.Delay, s.wait())) }

// Rested makes a look due as soon as the pause is over.
func (s *Schedule) Rested() { s.after(max(0, s.wait())) }

// Since is the time since the last look; very long before the first one.
func (s *Schedule) Since() time.Duration { return time.Since(s.finished) }

// Looked reports whether there was a look.
func (s *Schedule) Looked() bool { return !s.finished.IsZero() }

// Paused reports whether the pause after the last look is over.
func (s *Schedule) Paused() bool { return s.wait() <= 0 }

// wait is what is left of the pause.
func (s *Schedule) wait() time.Duration { return s.pace.Pause(s.took) - s.Since() }

func (s *Schedule) after(delay time.Duration) {
	at := time.Now().Add(delay)
	if s.due.IsZero() || at.Before(s.due) {
		s.due = at
		s.timer.Reset(delay)
	}
}

// look does what is due, and measures it.
func (s *Schedule) look(round func()) {
	s.due = time.Time{}
	s.timer.Stop()
	start := time.Now()
	round()
	s.finished, s.took = time.Now(), time.Since(start)
}
