// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"crypto/ed25519"
	"encoding/binary"
	"sync/atomic"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// Identity is the n-th identity of a test.
func Identity(n uint64) record.Identity {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, n)
	return record.Identity{Key: ed25519.NewKeyFromSeed(seed)}
}

// Key is the n-th of many identities that sign nothing.
func Key(n int) record.Identity {
	key := make([]byte, ed25519.PrivateKeySize)
	binary.BigEndian.PutUint64(key[ed25519.SeedSize:], uint64(n))
	return record.Identity{Key: key}
}

var sentMessages uint64 // numbers the messages of simMessage

// MessageFrom is a message of another node to a core, signed as that core
// checks it.
func MessageFrom(from record.Identity, to *core.Core, kind record.MessageKind, body any) []byte {
	t := to.Inside().Table()
	m := messageOf(from, t.NetID, to.ID(), 1<<20, atomic.AddUint64(&sentMessages, 1), kind) // a start above any in a test
	return m.Seal(t.Signer, from.Key, body)
}

// messageOf is the head of a message.
func messageOf(as record.Identity, net record.NetworkID, to record.NodeID, start, number uint64, kind record.MessageKind) record.Message {
	return record.Message{Header: record.Header{Start: start, Counter: number}, Version: record.MessageVersion, Kind: kind, Network: net, To: to, Key: as.Public()}
}

// Split takes a message apart without any check but of its length.
func Split(msg []byte) (record.MessageKind, []byte, error) {
	if len(msg) > 2 && record.MessageKind(msg[1]) == record.MsgRumor {
		return record.MsgRumor, msg[2:], nil
	}
	m, err := record.OpenMessage(msg)
	return m.Kind, m.Body, err
}
