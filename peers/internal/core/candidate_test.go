// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"

	"flanneld/peers/internal/record"
)

func TestEverySlotIsACandidateOnce(t *testing.T) {
	for i := range uint64(30) {
		seen := map[record.Slot]bool{}
		for s := range slotsInOrder(testIdentity(i).ID(), testNetwork(t)) {
			if seen[s] || s == 0 || s > 255 {
				t.Fatalf("slot %d comes twice or is not eligible", s)
			}
			seen[s] = true
		}
		if len(seen) != 255 {
			t.Fatalf("%d of 255 slots are candidates", len(seen))
		}
	}
}
