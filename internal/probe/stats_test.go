// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"
	"testing/synctest"
	"time"
)

// What is sent is answered, lost, or under way, and the classes of round trips
// have all answers.
func TestStatsCountWhatBecomesOfProbes(t *testing.T) {
	for _, c := range []struct {
		name   string
		peer   peer
		class  int // of RoundTrips that has all answers; -1: there are none
		losses bool
	}{
		{"all is answered", peer{delay: 3 * time.Millisecond}, 5, false},
		{"exactly at a bound", peer{delay: 5 * time.Millisecond}, 5, false},
		{"at once", peer{}, 0, false},
		{"slower than an answer is waited for", peer{delay: 1500 * time.Millisecond}, 13, false},
		{"slower than any class", peer{delay: 3 * time.Second}, 14, false},
		{"nothing is answered", peer{deaf: true}, -1, true},
		{"large packets are lost", peer{largest: 1000}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := begin(t, &c.peer)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				s := w.prober.Stats()
				sum := uint64(0)
				for i, n := range s.RoundTrips {
					sum += n
					if n > 0 && i != c.class {
						t.Errorf("class %d has %d", i, n)
					}
				}
				if s.Sent == 0 || sum != s.Answered || (s.Answered > 0) != (c.class >= 0) || (s.Lost > 0) != c.losses {
					t.Errorf("got %+v", s)
				}
				// Answers are on their way for 3 s at most, and the pauses
				// between probes are random.
				if open := s.Sent - s.Answered - s.Lost; open > 10+s.Sent/10 {
					t.Errorf("%d probes are under way: %+v", open, s)
				}
				if s.RoundTrip != time.Duration(s.Answered)*c.peer.delay {
					t.Errorf("%v for %d answers", s.RoundTrip, s.Answered)
				}
			})
		})
	}
}
