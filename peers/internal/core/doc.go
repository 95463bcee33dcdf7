// SPDX-License-Identifier: Apache-2.0

// Package core decides which nodes are in the network and which subnet each
// holds.
//
// It is a state machine without input or output: no clock, no goroutine, no
// file, no socket. A driver feeds it messages, ticks, membership changes and
// answers of the disk. Afterwards it carries out the [Effects] that have come
// together: messages to send, records to gossip, a durable state to write. The
// same inputs in the same order give the same effects, so that a simulator can
// replay a run from its seed.
//
//	       Receive, Merge            Tick, MemberUp/Down
//	             │                         │
//	             ▼                         ▼
//	records ─► Table ◄── claim (ask, count, confirm, announce)
//	             │         ▲
//	             ▼         │ answers
//	           vote (promise, refuse; durable before it is sent)
//	             │
//	             ▼
//	          Effects: sends, broadcasts, save, view
//
// The words of a claim:
//
//   - Claim: a node's attempt to get a slot, with a number of its own.
//   - Holder: a node that holds a lease. Elector: a holder that counts, and so
//     decides about claims. Senior: the longest-standing elector.
//   - Promise: a holder's word that a slot goes to one claimant only.
//   - Voucher: a signed promise, which other nodes can check.
//   - Grant: enough promises for a claim.
//   - Confirmed: a granted lease that enough nodes know of, and the disk.
//   - Withdraw: a claimant gives a promise back. Revoke: it gives up a grant.
//   - Affirm: a holder repeats its lease above a record that struck it out.
//   - Retire: a holder that is about to leave makes no more promises.
//   - Possible holder: a node that may hold a lease, by a promise without a
//     known outcome.
//
// How a lease comes about:
//
//	claimant                                   every lease holder
//	   │  Ask(slot, epoch, claim) ────────────────►│ free for all it knows?
//	   │                                           │ write the promise, fsync
//	   │◄─────────────────────── Answer(promised) ─│ (or: refused, with the reason)
//	   │  a majority promised, none refused, and
//	   │  each node that could be alive answered
//	   │  write the lease, fsync
//	   │  Records(lease) ─────────────────────────►│ merge, drop the promise
//	   │◄───────────────────────────────────── Ack │
//	   │  a majority knows: mark it, fsync
//	   │  confirmed
//
// [Transitions] has the phases of a claim.
//
// Times are durations since the core's start on a clock that only runs
// forward. Wall clocks are not consulted anywhere.
package core
