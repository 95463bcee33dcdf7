// SPDX-License-Identifier: Apache-2.0

// Package dataplane carries the packets of one lease: the overlay device, the
// data sockets, the lanes between the two, and the forwarder that drives them.
//
// A [Plane] lives as long as its lease and its underlay address. What outlives
// it has a type of its own. [Routes] is where packets go; [Totals] is what
// earlier planes counted.
package dataplane
