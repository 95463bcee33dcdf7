// SPDX-License-Identifier: Apache-2.0

// Package sim runs networks of real cores under virtual time: one goroutine for
// a network, one seed, no wall clock. Around each core stands a model of what
// the daemon puts there: a disk, gossip membership in the manner of SWIM, and
// links that lose, double, delay and cut. A schedule of faults comes from the
// seed. What users were promised is checked at every step and at the end.
//
// The same seed gives the same run. The hash of a run shows whether a change
// has changed any run: [Play] returns it, and [Search] returns that of many
// runs.
//
// `make sim` searches, replays and measures. Tests of their own build a [World]
// and let things happen to its hosts.
package sim
