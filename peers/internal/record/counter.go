package record

// MaxCounter bounds every counter that comes from outside: epochs, starts,
// versions and ordinals. It is far below the type's range, so that no sum of
// two counters can wrap. It is far above what any network reaches: one change
// of a lease in each millisecond takes 34 years to get there.
const MaxCounter = 1 << 40

// Next is the counter after n, which is at most maxCounter.
func Next(n uint64) uint64 { return min(n, MaxCounter-1) + 1 }

// claimBits is how many bits of a claim's number count the claims of one start.
const claimBits = 20

// MaxClaim bounds the number of a claim.
const MaxClaim = MaxCounter<<claimBits | 1<<claimBits - 1

// ClaimNumber numbers the n-th claim of a start. It grows with both.
func ClaimNumber(start uint64, n uint32) uint64 {
	return start<<claimBits | uint64(min(n, 1<<claimBits-1))
}

// StartOfClaim is the start in which a claim was made.
func StartOfClaim(claim uint64) uint64 { return claim >> claimBits }
