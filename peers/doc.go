// SPDX-License-Identifier: Apache-2.0

// Package peers knows which nodes are in the network and which subnet each node
// holds.
//
// The daemon is its caller, through a [Node]: this machine's part in the
// network. A node has an identity in a state directory, a member in gossip, the
// whole node table, and a lease that it claims, keeps and hands back. A
// [Snapshot] is what it knows at one moment.
//
// The work is done in packages below it:
//
//   - peers/internal/core decides about claims and leases, without I/O.
//   - peers/internal/record is what nodes sign, send and keep.
//   - peers/internal/gossip knows which nodes are up and carries messages.
//   - peers/internal/statedir keeps files.
//
// This package is the engine that joins them: it feeds messages, news about
// members, saved files and time to the core, and does what the core decides.
//
// # Words
//
// A node has a node ID, made once from its key. A member is what memberlist
// knows about one start of a node: its name is the node ID and the number of
// the start. So news about an earlier start cannot hit a later one. A seed is
// an address that a node was told to join.
//
// # Goroutines
//
// One goroutine, that of [Node.Run], owns the core and is the only one that
// touches it. Beside it run the writer of the state directory, the join loop,
// the watch for duplicates, and gossip's own. They hand over what they have
// through channels, and so do the exported methods.
package peers
