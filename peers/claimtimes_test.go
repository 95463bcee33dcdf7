// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"os"
	"slices"
	"testing"
	"time"
)

// TestClaimTimes measures how long a new node waits for its lease among ten
// live ones: from the start of its process's part to the confirmed lease,
// joining and all writes to the disk included. In real time, over this host's
// loopback; FLANNELD_SCALE makes it measure enough to be a figure, and hold it
// against what is promised.
func TestClaimTimes(t *testing.T) {
	claims, measured := 5, os.Getenv("FLANNELD_SCALE") != ""
	if measured {
		claims = 100
	} else {
		t.Parallel()
	}
	first, _ := founderHost(t)
	for range 9 {
		h := newHost(t, joining(first))
		h.start()
		h.leased()
	}
	var took []time.Duration
	for range claims {
		h := newHost(t, joining(first))
		start := time.Now()
		h.start()
		h.leased()
		took = append(took, time.Since(start))
		if err := h.node.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(took)
	half, most := took[len(took)/2], took[(len(took)-1)*99/100]
	t.Logf("%d claims among 10 nodes: %v (p50), %v (p99), from start to lease", claims, half.Round(time.Millisecond), most.Round(time.Millisecond))
	if measured && (half > 100*time.Millisecond || most > 300*time.Millisecond) {
		t.Error("claims take too long")
	}
}
