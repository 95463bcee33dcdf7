// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"testing"
	"time"
)

// A stranger, and one lying member, break no promise to the others.
func TestNoPromiseIsBrokenByALiar(t *testing.T) {
	f := Search(1, 600, 0, 6*time.Second, &Damage{Strain: Lying})
	if f.Broken != "" {
		t.Fatalf("seed %d breaks promise %s", f.Seed, f.Broken)
	}
	if f.Tally[lies] == 0 {
		t.Fatal("no lie was told")
	}
	t.Logf("%d schedules, %d lies", f.Schedules, f.Tally[lies])
}
