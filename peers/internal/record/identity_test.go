// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
)

func testIdentity(n uint64) Identity {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, n)
	return Identity{Key: ed25519.NewKeyFromSeed(seed)}
}

func testNetwork(t interface{ Fatal(...any) }) Network {
	n, err := Network{}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// someKey is the n-th of many identities that sign nothing.
func someKey(n int) Identity {
	key := make([]byte, ed25519.PrivateKeySize)
	binary.BigEndian.PutUint64(key[ed25519.SeedSize:], uint64(n))
	return Identity{Key: key}
}

// checksum stands in for Ed25519 where many records are signed.
type checksum struct{}

func (checksum) sum(key ed25519.PublicKey, msg []byte) []byte {
	sum := sha256.Sum256(append(append([]byte(nil), key...), msg...))
	return append(sum[:], sum[:]...)
}

func (c checksum) Sign(key ed25519.PrivateKey, msg []byte) []byte {
	return c.sum(ed25519.PublicKey(key[ed25519.SeedSize:]), msg) // RFC 8032: the second half is the public key
}

func (c checksum) Verify(key ed25519.PublicKey, msg, sig []byte) bool {
	return bytes.Equal(sig, c.sum(key, msg))
}
