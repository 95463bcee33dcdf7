// Package peers knows who is in the network and which subnet each node holds.
//
// A [Node] is this machine's part in it: an identity kept in a state directory,
// a gossip member (hashicorp/memberlist), the node table every node holds
// whole, and the lease this node claims, keeps and hands back. What is decided,
// and when, is a state machine without I/O in peers/internal/core; this package
// gives it a network, a disk and a clock.
//
// Words: a node has a node ID, made once from its key. A member is what
// memberlist knows of one start of a node: its name is the node ID and the
// start number, so that rumours about an earlier start never hit a later one. A
// seed is an address a node was told to join.
//
// Threads: one goroutine owns the core and is the only one that touches it.
// Everything else posts to its inbox: memberlist's callbacks (which copy, post
// and return, because memberlist holds its lock), the disk writer, the join
// loop, the exported methods.
package peers
