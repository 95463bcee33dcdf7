// SPDX-License-Identifier: Apache-2.0

// Package underlaywatch watches the underlay address of this node and decides
// when to move to another.
//
// A node stays where it is while the host has the address and a member answers
// there. The Watcher looks at the host after changes of links, addresses and
// routes, and from time to time. Where members fall silent it tries other
// addresses of the host (trial.go). It decides (decide.go); a [Mover] moves.
package underlaywatch
