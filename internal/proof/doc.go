// SPDX-License-Identifier: Apache-2.0

// Package proof decides which paths to peers are tried, believed and left, by
// what becomes of probes.
//
// A path is believed once packets were answered over it: small ones, ones of
// the full MTU, and TCP segments that left their checksum to the device, unless
// a filter drops such segments. It is left as soon as the prober counts it as
// failed. Then it is tried again, first after 30 s, later more rarely. A path
// that is less preferred than one that works is not probed.
//
// The package is pure: it starts nothing, reads no clock, and sends nothing.
package proof
