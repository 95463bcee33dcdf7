// SPDX-License-Identifier: Apache-2.0

package core

// MaxJump is how far above the known value an epoch, an ordinal or a start may
// be. So a record cannot use a counter up at once: it would take 16 million
// records in turn, each an acceptable one.
const MaxJump = 1 << 16

// maxFreeJump is the same for a record by which a node strikes out another one.
// Such a record is one above the lease that it ends. The reader may have missed
// some affirmations of that lease.
const maxFreeJump = 64
