// SPDX-License-Identifier: Apache-2.0

// Package record is what flanneld nodes exchange and keep: signed records, the
// node table that they make up, and messages. It says what the bytes are, and
// which of two records wins. It decides nothing else, does no I/O and knows no
// clock.
//
// Three kinds of records make up the node table. A node record is written by
// its node alone. A lease record says which node holds a slot, a numbered
// subnet of the network, since which epoch. Without a holder it says that the
// slot was handed back. A forget record strikes out a dead node. Merging is
// commutative, associative and idempotent: of two records for one key the
// greater one wins, and the order is total.
package record
