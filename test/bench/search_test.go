// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// link is a pretended path: it carries so many packets a second, of senders
// that can do only so many.
type link struct {
	carries, senders float64
	hiccups          map[int]bool // attempts in which a program was held up
	attempts         int
}

func (l *link) try(rate float64) (outcome, error) {
	l.attempts++
	offered := min(rate, l.senders)
	carried := min(offered, l.carries)
	if l.hiccups[l.attempts] {
		carried /= 2
	}
	return outcome{sent: int(offered), received: int(carried), offered: offered, delivered: carried}, nil
}

func TestSearchFindsWhatThePathCarries(t *testing.T) {
	for _, c := range []struct {
		name string
		link link
		want float64
	}{
		{"a path much slower than its senders", link{carries: 15_000, senders: 300_000}, 15_000},
		{"a path a little slower", link{carries: 280_000, senders: 300_000}, 280_000},
		{"a path faster than its senders", link{carries: 900_000, senders: 300_000}, 300_000},
		{"a program held up now and then", link{carries: 50_000, senders: 300_000, hiccups: map[int]bool{2: true, 5: true, 9: true}}, 50_000},
	} {
		got, err := attempt(c.link.try).highest()
		if err != nil || math.Abs(got/c.want-1) > 0.04 {
			t.Errorf("%s: %.0f, %v, want %.0f", c.name, got, err, c.want)
		}
		if c.link.attempts > 20 {
			t.Errorf("%s: took %d attempts", c.name, c.link.attempts)
		}
	}
}

func TestSearchGivesUpWhereEveryRateLoses(t *testing.T) {
	half := func(rate float64) (outcome, error) {
		rate = min(rate, 300_000)
		return outcome{sent: 1000, received: 500, offered: rate, delivered: rate / 2}, nil
	}
	if _, err := attempt(half).highest(); err == nil || !strings.Contains(err.Error(), "no rate without loss") {
		t.Errorf("error %v", err)
	}
}

func TestSearchPassesOnWhatFails(t *testing.T) {
	broken := errors.New("broken")
	for after := range 6 {
		l := link{carries: 50_000, senders: 300_000}
		_, err := attempt(func(rate float64) (outcome, error) {
			if l.attempts == after {
				return outcome{}, broken
			}
			return l.try(rate)
		}).highest()
		if !errors.Is(err, broken) {
			t.Errorf("after %d attempts: %v", after, err)
		}
	}
}
