// SPDX-License-Identifier: Apache-2.0

package core

import "flanneld/peers/internal/record"

// sentByTests numbers the messages that tests make.
var sentByTests uint64

// messageFrom is a message of another node to a core, signed as that core
// checks it.
func messageFrom(from record.Identity, to *Core, kind record.MessageKind, body any) []byte {
	sentByTests++
	m := record.Message{
		Header:  record.Header{Start: 1 << 20, Counter: sentByTests}, // a start above any in a test
		Version: record.MessageVersion, Kind: kind, Network: to.table.NetID, To: to.id, Key: from.Public(),
	}
	return m.Seal(to.cfg.Signer, from.Key, body)
}
