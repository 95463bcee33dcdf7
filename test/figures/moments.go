// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// moment is when a log first said something: a line with all these words, at
// or after a time.
func moment(log string, since time.Time, words ...string) (time.Time, bool) {
	for line := range strings.Lines(log) {
		if !containsAll(line, words) {
			continue
		}
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339, stamp)
		if err == nil && !at.Before(since.Truncate(time.Millisecond)) {
			return at, true
		}
	}
	return time.Time{}, false
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// times are measurements of one kind.
type times []time.Duration

// quantile is the smallest measurement that a share q of all do not exceed.
func (t times) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(t))
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func (t times) String() string {
	if len(t) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d measured: p50 %v, p99 %v, longest %v", len(t), t.quantile(0.5), t.quantile(0.99), t.quantile(1))
}
