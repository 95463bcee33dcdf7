// Package core decides who is in the network and who holds which subnet.
//
// It is a state machine without input or output: no clock, no goroutine, no
// file, no socket. A driver feeds it messages, ticks, membership changes and
// answers of the disk, and afterwards carries out the [Effects] that have
// come together: messages to send, records to gossip, a durable state to write.
// The same inputs in the same order give the same effects, so that a
// simulator can replay a run from its seed.
//
//	       Receive, Merge            Tick, MemberUp/Down
//	             │                         │
//	             ▼                         ▼
//	records ─► Table ◄── claim (ask, count, confirm, announce)
//	             │         ▲
//	             ▼         │ answers
//	           vote (promise, refuse; durable before it is said)
//	             │
//	             ▼
//	          Effects: sends, broadcasts, save, view
//
// Three kinds of records make up the node table. A node record is written by
// its node alone. A lease record says who holds a slot (one subnet of the
// network) since which epoch; a record without a holder says that the slot was
// handed back. A forget record strikes out a dead node. Merging is commutative,
// associative and idempotent: of two records for one key the greater wins, and
// the order is total.
//
// How a lease comes about:
//
//	claimant                                   every lease holder
//	   │  Ask(slot, epoch, claim) ────────────────►│ free for all it knows?
//	   │                                           │ write the promise, fsync
//	   │◄─────────────────────── Answer(promised) ─│ (or: refused, and by whom)
//	   │  a majority promised, nobody refused,
//	   │  and all that may live have answered
//	   │  write the lease, fsync
//	   │  Records(lease) ─────────────────────────►│ merge, drop the promise
//	   │◄───────────────────────────────────── Ack │
//	   │  a majority knows: mark it, fsync
//	   │  confirmed
//
// Times are durations since the core's start on a clock that only runs
// forward; wall clocks are not consulted anywhere.
package core
