// SPDX-License-Identifier: Apache-2.0

//go:build !race

package sim

import (
	"testing"
	"time"
)

// Under the race detector this would take minutes and show nothing: a schedule
// has one goroutine.

func TestEveryDamageIsFound(t *testing.T) {
	for i := range Damages {
		d := &Damages[i]
		t.Run(d.Name, func(t *testing.T) {
			f := Search(1, d.Within, 0, 5*time.Minute, d)
			if f.Broken == "" {
				t.Fatalf("not found in %d schedules", f.Schedules)
			}
			if r := Play(f.Seed, 0, &Damage{Strain: d.Strain}); r.Broken != "" {
				t.Fatalf("seed %d is broken without the damage, too: %s", f.Seed, r.Broken)
			}
			t.Logf("found by seed %d: %s", f.Seed, f.Broken)
		})
	}
}
