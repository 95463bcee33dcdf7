// SPDX-License-Identifier: Apache-2.0

// Package ruleset looks at the packet filter rules of this network namespace
// without running a command. It reports whether they changed, which program
// changed them, and what stands in the way of overlay traffic.
//
// Rules are kept in two places: nf_tables, where iptables puts its own
// nowadays, and the legacy tables of iptables-legacy. Both have a cheap
// fingerprint; nf_tables reports changes as well.
package ruleset

import "errors"

// ErrPlatform is the error of all functions on systems other than Linux.
var ErrPlatform = errors.New("ruleset: flanneld runs on Linux only")
