// SPDX-License-Identifier: Apache-2.0

package record

// MaxCounter bounds every counter that comes from outside: epochs, starts,
// versions and ordinals. It is far below the type's range, so that no sum of
// two counters can wrap. It is far above what any network reaches: one change
// of a lease in each millisecond takes 34 years to get there.
const MaxCounter = 1 << 40

// Next is the counter after n, which is at most maxCounter.
func Next(n uint64) uint64 { return min(n, MaxCounter-1) + 1 }
