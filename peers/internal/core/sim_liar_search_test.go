package core

import (
	"testing"
	"time"
)

// A stranger, and one lying member, break no promise to the others.
func TestNoPromiseIsBrokenByALiar(t *testing.T) {
	f := search(1, 600, 0, 6*time.Second, &damage{strain: lying})
	if f.broken != "" {
		t.Fatalf("seed %d breaks promise %s", f.seed, f.broken)
	}
	if f.tally[lies] == 0 {
		t.Fatal("no lie was told")
	}
	t.Logf("%d schedules, %d lies", f.schedules, f.tally[lies])
}
