// SPDX-License-Identifier: Apache-2.0

package core

import (
	"crypto/ed25519"
	"encoding/binary"

	"flanneld/peers/internal/record"
)

func testIdentity(n uint64) record.Identity {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, n)
	return record.Identity{Key: ed25519.NewKeyFromSeed(seed)}
}

func testNetwork(t interface{ Fatal(...any) }) record.Network {
	n, err := record.Network{}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// someKey is the n-th of many identities that sign nothing.
func someKey(n int) record.Identity {
	key := make([]byte, ed25519.PrivateKeySize)
	binary.BigEndian.PutUint64(key[ed25519.SeedSize:], uint64(n))
	return record.Identity{Key: key}
}
