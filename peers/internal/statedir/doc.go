// SPDX-License-Identifier: Apache-2.0

// Package statedir keeps what a node remembers between two starts: its
// identity, the lease file and the node table. It also reads the cluster key.
//
// Package peers is its only caller. A [Dir] is a locked directory: one process
// at a time has it. [Dir.Load] reads it at the start, [Store] writes it while
// the node runs, and [Dir.Reset] makes the node a newcomer. A file is replaced
// as a whole and synced, so that a crash leaves the old one or the new one.
// This package does not know what is in the lease file and the node table: the
// core encodes both.
//
// A Store has one goroutine, from [NewStore] to [Store.Close]. Everything else
// runs on the caller's.
package statedir
