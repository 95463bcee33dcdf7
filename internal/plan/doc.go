// SPDX-License-Identifier: Apache-2.0

// Package plan turns what a node knows into which nodes are reached, and how.
//
// Its input is a snapshot of the node table, the static peers, and what this
// node can do. Its output says for each prefix: the holder, the endpoint, the
// path that packets take, and why. The package is pure. It starts nothing,
// reads no clock of its own and touches no host, so that tables of cases can
// test it. The same input gives the same output, in whatever order its lists
// come.
package plan
