// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestEverythingThatCanBePickedCanBeDone(t *testing.T) {
	for _, k := range kinds {
		if builders[k.name] == nil {
			t.Errorf("path %s can't be built", k.name)
		}
	}
	for _, m := range measures {
		if takers[m.name] == nil {
			t.Errorf("%s can't be measured", m.name)
		}
	}
	if len(builders) != len(kinds) || len(takers) != len(measures) {
		t.Error("something can be done that can't be picked")
	}
}

func TestACongestionControlThatTheKernelLacksIsNamed(t *testing.T) {
	if got := missingCongestion([]subject{{setting: setting{Congestion: "reno"}}}); got != "" {
		t.Errorf("reno, which every kernel has: %s", got)
	}
	if got := missingCongestion([]subject{{setting: setting{Congestion: "carrier-pigeon"}}}); !strings.Contains(got, "no carrier-pigeon, only") {
		t.Errorf("%q", got)
	}
}

func TestProcessorTimeLeavesOutIdling(t *testing.T) {
	got, err := busyTime("cpu  100 20 300 9999 8888 4 6 0 0 0\ncpu0 1 1 1 1 1 1 1\n")
	if err != nil || got != 4.3 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := busyTime("nonsense"); err == nil {
		t.Error("nonsense was understood")
	}
}
