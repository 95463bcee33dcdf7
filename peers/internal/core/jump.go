package core

// MaxJump is how far above the known value an epoch, an ordinal or a start may
// be. A record cannot use a counter up at once: 16 million records in turn,
// each of which must be acceptable, would be needed.
const MaxJump = 1 << 16

// maxFreeJump is the same for a record by which a node strikes out another one.
// Such a record is one above the lease that it ends, and the reader may have
// missed some affirmations of that lease.
const maxFreeJump = 64
