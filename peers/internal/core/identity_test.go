package core

import (
	"crypto/ed25519"
	"encoding/binary"
)

func testIdentity(n uint64) Identity {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, n)
	return Identity{ed25519.NewKeyFromSeed(seed)}
}

func testNetwork(t interface{ Fatal(...any) }) Network {
	n, err := Network{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// someKey is the n-th of many identities that nobody needs to prove.
func someKey(n int) Identity {
	key := make([]byte, ed25519.PrivateKeySize)
	binary.BigEndian.PutUint64(key[ed25519.SeedSize:], uint64(n))
	return Identity{key}
}
