// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"testing"
	"time"
)

func TestOversizeIsAProblemWhileItGoesOn(t *testing.T) {
	var o oversize
	start := time.Now()
	for _, step := range []struct {
		after time.Duration
		count uint64
		want  bool
	}{
		{0, 7, false}, // of an earlier data plane
		{5 * time.Second, 7, false},
		{10 * time.Second, 8, true},
		{60 * time.Second, 8, true},
		{71 * time.Second, 8, false},
		{80 * time.Second, 9, true},
	} {
		got := o.look(map[string]uint64{"b": step.count, "c": 0}, start.Add(step.after))
		if got["b"] != step.want || got["c"] {
			t.Errorf("after %v: %v", step.after, got)
		}
	}
}
