// SPDX-License-Identifier: Apache-2.0

// Package nft keeps one table of nf_tables as a program wants it, and has the
// words for rules. It writes every change as one transaction, leaves the counts
// of sets and counters alone while it can, and notices what other programs
// change. It needs no nft command.
package nft

import "errors"

// TablePrefix begins the name of every flanneld's tables.
const TablePrefix = "flanneld-"

// ErrUnsupported means that the kernel has no nf_tables, or not all that is
// needed.
var ErrUnsupported = errors.New("the kernel cannot do it with nf_tables")

// Advice is what to do about a table that cannot be written. lacking is what to
// do where the error is ErrUnsupported.
func Advice(err error, lacking string) string {
	if errors.Is(err, ErrUnsupported) {
		return lacking
	}
	return "see `nft list ruleset`; the table is tried again"
}
