//go:build !race

package core

import (
	"testing"
	"time"
)

// Under the race detector this would take minutes and show nothing: a schedule
// has one goroutine.

func TestEveryDamageIsFound(t *testing.T) {
	for i := range damages {
		d := &damages[i]
		t.Run(d.name, func(t *testing.T) {
			f := search(1, d.within, 0, 5*time.Minute, d)
			if f.broken == "" {
				t.Fatalf("not found in %d schedules", f.schedules)
			}
			if r := playSeed(f.seed, 0, &damage{strain: d.strain}); r.broken != "" {
				t.Fatalf("seed %d is broken without the damage, too: %s", f.seed, r.broken)
			}
			t.Logf("found by seed %d: %s", f.seed, f.broken)
		})
	}
}
