// SPDX-License-Identifier: Apache-2.0

// Package packet reads and writes one IP packet: headers, checksums, fragments,
// congestion marks, and what makes packets one flow. It is pure: it has no
// state, allocates nothing, and imports no other package of the module.
//
// The types do not name a version of IP. What differs between versions is
// decided here and nowhere else, so a caller needs no file for each. Today
// Parse accepts IPv4 alone.
package packet
