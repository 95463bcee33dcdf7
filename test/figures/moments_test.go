// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"
)

const log = `time=2026-01-02T03:04:05.100Z level=INFO msg=lease subnet=10.1.0.0/24 node=a epoch=1
time=2026-01-02T03:04:06.250Z level=INFO msg=lease subnet=10.1.0.0/24 node=a epoch=3
`

func TestMomentIsTheFirstLineThatFits(t *testing.T) {
	first := time.Date(2026, 1, 2, 3, 4, 5, 100e6, time.UTC)
	for _, c := range []struct {
		since time.Time
		words []string
		want  time.Time
	}{
		{time.Time{}, []string{"msg=lease", "10.1.0.0/24"}, first},
		{first.Add(300 * time.Microsecond), []string{"msg=lease"}, first}, // the log has no more digits
		{first.Add(time.Millisecond), []string{"msg=lease"}, first.Add(1150 * time.Millisecond)},
		{time.Time{}, []string{"msg=lease", "10.2.0.0/24"}, time.Time{}},
	} {
		got, ok := moment(log, c.since, c.words...)
		if !got.Equal(c.want) || ok == c.want.IsZero() {
			t.Errorf("since %v, %q: %v, %v, want %v", c.since, c.words, got, ok, c.want)
		}
	}
}

func TestQuantileIsOneOfTheMeasurements(t *testing.T) {
	var all times
	for i := range 100 {
		all = append(all, time.Duration(100-i)*time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 50 * time.Millisecond, 0.99: 99 * time.Millisecond, 1: 100 * time.Millisecond, 0: time.Millisecond} {
		if got := all.quantile(q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := (times{7}).quantile(0.99); got != 7 {
		t.Errorf("of one measurement: %v", got)
	}
}
