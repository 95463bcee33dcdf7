// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"math"
	"testing"
)

// The kernel's counter wraps, and may do so often.
func TestOdometerGoesOnWhereTheKernelGoesRound(t *testing.T) {
	var o odometer
	var want uint64
	var kernel uint32
	for _, step := range []uint32{0, 1, math.MaxUint32 - 1, 0, 1, 5, math.MaxUint32, 1 << 31, 1 << 31, 7} {
		kernel += step
		want += uint64(step)
		if o.set(kernel); o.total != want {
			t.Errorf("%d after a step of %d, want %d", o.total, step, want)
		}
	}
	if want <= math.MaxUint32 {
		t.Errorf("the test counts to %d only", want)
	}
}
