// SPDX-License-Identifier: Apache-2.0

package record

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"strings"
)

// NodeID names a node for good: the first 16 bytes of the SHA-256 of its
// Ed25519 public key. The zero value means "no node".
type NodeID [16]byte

// NetworkID names a network for good: the first 16 bytes of the SHA-256 of
// its parameters, the founder's ID and a random number. The zero value means
// "no network yet".
type NetworkID [16]byte

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NodeIDOf derives the ID that belongs to an Ed25519 public key.
func NodeIDOf(key []byte) NodeID {
	sum := sha256.Sum256(key)
	return NodeID(sum[:16])
}

// String is the ID in 26 lower-case base32 characters.
func (id NodeID) String() string { return idEncoding.EncodeToString(id[:]) }

// Short is the first 8 characters of String: enough for people and logs.
func (id NodeID) Short() string { return id.String()[:8] }

// minPrefix is how many characters of an ID name a node.
const minPrefix = 4

// HasPrefix reports whether a text, in upper or lower case, is the beginning of
// String, and long enough to name a node.
func (id NodeID) HasPrefix(text string) bool {
	text = strings.ToLower(text)
	return len(text) >= minPrefix && strings.HasPrefix(id.String(), text)
}

// IsZero reports whether the ID names no node.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// ParseNodeID reads what String wrote.
func ParseNodeID(s string) (NodeID, error) {
	b, err := idEncoding.DecodeString(strings.ToLower(s))
	if err != nil || len(b) != len(NodeID{}) {
		return NodeID{}, errors.New("a node ID has 26 letters a-z and digits 2-7")
	}
	return NodeID(b), nil
}

// UnmarshalCBOR spares the decoder from setting an ID byte by byte.
func (id *NodeID) UnmarshalCBOR(b []byte) error { return unmarshalID((*[16]byte)(id), b) }

// UnmarshalCBOR is like NodeID's.
func (id *NetworkID) UnmarshalCBOR(b []byte) error { return unmarshalID((*[16]byte)(id), b) }

var errID = errors.New("an ID has 16 bytes")

// unmarshalID reads a CBOR byte string of 16 bytes (RFC 8949 section 3.1).
func unmarshalID(id *[16]byte, b []byte) error {
	const head = 2<<5 | 16
	if len(b) != 1+len(id) || b[0] != head {
		return errID
	}
	copy(id[:], b[1:])
	return nil
}

// String is the ID in 32 hexadecimal digits.
func (id NetworkID) String() string { return hex.EncodeToString(id[:]) }

// Short is the first 8 digits of String.
func (id NetworkID) Short() string { return id.String()[:8] }

// IsZero reports whether the ID names no network.
func (id NetworkID) IsZero() bool { return id == NetworkID{} }

// Identity is a node's key pair. It is made once and kept in the state
// directory. Nothing of the machine goes into it, so that a copied image does
// not copy it.
type Identity struct {
	Key ed25519.PrivateKey
}

// ID is the node ID that belongs to the key.
func (i Identity) ID() NodeID { return NodeIDOf(i.Public()) }

// Public is the node's public key, 32 bytes. It must not be changed.
func (i Identity) Public() ed25519.PublicKey { return i.Key.Public().(ed25519.PublicKey) }
