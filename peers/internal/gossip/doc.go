// SPDX-License-Identifier: Apache-2.0

// Package gossip is this node's member among the others: it knows which nodes
// are up, carries the core's messages, and finds the other nodes.
//
// Package peers is its only caller. An [Agent] is one member of memberlist
// (hashicorp/memberlist) behind a [Transport] of our own. A [Joiner] brings it
// together with other nodes, through seeds and through nodes that were lost.
// This package decides nothing about leases: the engine tells it which nodes
// hold one ([Agent.SetHolders]) and is told which nodes are up ([Agent.News]).
//
// # The way of a datagram
//
// Transport reads it. The gate (gate.go) opens it, checks what its sender may
// say, and writes it anew for memberlist. memberlist hands user messages and
// states to the delegate (delegate.go), which queues them for the engine. A
// member that memberlist names is an applicant first (applicant.go): it is let
// in when it has signed a proof of life. A member that memberlist reports dead
// stays up while it answers (doubt.go).
//
// # Goroutines
//
//   - Transport: one that accepts streams, one that reads datagrams, one for each
//     stream that comes in. Transport.Shutdown ends them.
//   - memberlist: its own; they call the delegate with its lock held, so the
//     delegate copies, queues and returns.
//   - Agent: four that send long messages, from [Agent.Start] to [Agent.Stop].
//   - the caller's: [Agent.Run] and [Joiner.Run], until their context ends.
//     [Agent.Send], [Agent.Tick] and [Agent.Open] belong to one goroutine.
package gossip
