// SPDX-License-Identifier: Apache-2.0

// Package bundle packs what a report of a fault needs into one file: what the
// daemon says, what doctor found, and the host's own answers. Secrets are taken
// out: the ones that are known byte by byte, and what looks like one.
package bundle
