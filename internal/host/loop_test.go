// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var testPace = Pace{Delay: 200 * time.Millisecond, Min: time.Second, Max: 8 * time.Second, Factor: 20}

// The pause after a look keeps its share of a core small, and a flush is still
// mended within 10 s.
func TestPauseGrowsWithCost(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{
		0: time.Second, 10 * time.Millisecond: time.Second, 100 * time.Millisecond: 2 * time.Second, time.Minute: 8 * time.Second,
	} {
		if got := testPace.Pause(took); got != want {
			t.Errorf("after %v: %v, want %v", took, got, want)
		}
	}
}

// signals are the ends of a loop's channels that a test pokes.
type signals struct{ wake, links, rules chan struct{} }

// rounds runs a loop in virtual time and returns when its rounds began.
func rounds(t *testing.T, set func(*Loop), events func(signals)) (at []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := signals{make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)}
		l := Loop{
			Every: 3 * time.Second, Pace: testPace, Wake: s.wake, Links: s.links, Rules: s.rules,
			Round: func(context.Context) { at = append(at, time.Since(start)) },
		}
		if set != nil {
			set(&l)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			l.Run(ctx)
			close(done)
		}()
		events(s)
		cancel()
		<-done
	})
	return at
}

const ms = time.Millisecond

func TestLoopLooksNowAndThen(t *testing.T) {
	got := rounds(t, nil, func(signals) { time.Sleep(10 * time.Second) })
	if want := []time.Duration{3000 * ms, 6000 * ms, 9000 * ms}; !slices.Equal(got, want) {
		t.Errorf("rounds at %v, want %v", got, want)
	}
}

func TestSeveralChangesMakeOneRound(t *testing.T) {
	got := rounds(t, nil, func(s signals) {
		Poke(s.wake) // at once
		time.Sleep(2 * time.Second)
		for range 4 { // at 2000, 2050, 2100, 2150
			Poke(s.links)
			Poke(s.links)
			time.Sleep(50 * ms)
		}
		time.Sleep(250 * ms) // 2450: after the round at 2200
		Poke(s.links)
		time.Sleep(2 * time.Second)
	})
	if want := []time.Duration{0, 2200 * ms, 3000 * ms}; !slices.Equal(got, want) {
		t.Errorf("rounds at %v, want %v", got, want)
	}
}

func TestCostlyRoundsAreRare(t *testing.T) {
	got := rounds(t, func(l *Loop) {
		l.OnTick = func(*Schedule) {}
		round := l.Round
		l.Round = func(ctx context.Context) {
			round(ctx)
			time.Sleep(100 * ms) // a pause of 2 s
		}
	}, func(s signals) {
		for range 50 {
			Poke(s.rules)
			time.Sleep(100 * ms)
		}
	})
	if want := []time.Duration{200 * ms, 2300 * ms, 4400 * ms}; !slices.Equal(got, want) {
		t.Errorf("rounds at %v, want %v", got, want)
	}
}

func TestHandlersDecideWhatASignalMeans(t *testing.T) {
	var looked, paused []bool
	got := rounds(t, func(l *Loop) {
		l.OnRules = func(s *Schedule) { looked, paused = append(looked, s.Looked()), append(paused, s.Paused()); s.Rested() }
		l.OnTick = func(s *Schedule) {
			if s.Since() > 5*time.Second {
				s.Now()
			}
		}
	}, func(s signals) {
		Poke(s.rules) // before the first round: at once
		time.Sleep(500 * ms)
		Poke(s.rules) // when the pause is over
		time.Sleep(7 * time.Second)
	})
	if want := []time.Duration{0, 1000 * ms}; !slices.Equal(got, want) {
		t.Errorf("rounds at %v, want %v", got, want)
	}
	if !slices.Equal(looked, []bool{false, true}) || !slices.Equal(paused, []bool{true, false}) {
		t.Errorf("looked %v, paused %v", looked, paused)
	}
}

// A round that does not end shows in the pulse, and waiting does not.
func TestAPulseTellsHowLongARoundTakes(t *testing.T) {
	var pulse Pulse
	looks := func(want time.Duration) {
		if got := pulse.AtWork(); got != want {
			t.Errorf("at work for %v, want %v", got, want)
		}
	}
	first := true
	rounds(t, func(l *Loop) {
		l.Pulse = &pulse
		l.Round = func(context.Context) {
			if first {
				time.Sleep(time.Minute)
			}
			first = false
		}
	}, func(s signals) {
		time.Sleep(time.Second)
		looks(0)
		Poke(s.wake)
		time.Sleep(time.Second)
		looks(time.Second)
		time.Sleep(58 * time.Second)
		looks(59 * time.Second)
		time.Sleep(10 * time.Second)
		looks(0)
	})
	if first {
		t.Error("no round")
	}
}
