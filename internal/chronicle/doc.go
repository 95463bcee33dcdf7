// SPDX-License-Identifier: Apache-2.0

// Package chronicle turns what has changed between two moments into events:
// members, leases, paths, the short-cut, drops. It is pure; package event keeps
// what it returns.
package chronicle
