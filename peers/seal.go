// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"

	"flanneld/peers/internal/statedir"
)

// Secret is 32 secret bytes. It prints as "redacted", whatever it is printed
// with.
type Secret = statedir.Key

// SealSecrets are what a node of a sealed network seals packets with.
type SealSecrets struct {
	// Private is the X25519 key (RFC 7748). The node record announces its
	// public half. It follows from the node's identity, so that a restart and a
	// restored state directory have the same one.
	Private Secret
	// Cluster are the cluster keys. The first one begins handshakes, all are
	// accepted.
	Cluster []Secret
}

// SealSecrets returns the secrets of a node of a sealed network. The cluster
// keys change with [Node.ReloadKey]. The error says that the network is not
// sealed.
func (n *Node) SealSecrets() (SealSecrets, error) {
	if !n.config.Sealed || n.keyring == nil {
		return SealSecrets{}, errors.New("peers: the network is not sealed")
	}
	private, err := sealSecret(n.last.Identity.Key.Seed())
	if err != nil {
		return SealSecrets{}, err
	}
	s := SealSecrets{Private: private}
	for _, key := range n.keyring.Keys() {
		s.Cluster = append(s.Cluster, Secret(key))
	}
	return s, nil
}

// sealInfo separates the sealing key from whatever else is derived from an
// identity (RFC 5869, section 3.2).
const sealInfo = "flanneld sealing key x25519 1"

// sealSecret derives the private sealing key from the seed of the identity.
func sealSecret(seed []byte) (Secret, error) {
	key, err := hkdf.Key(sha256.New, seed, nil, sealInfo, len(Secret{}))
	if err != nil {
		return Secret{}, err
	}
	return Secret(key), nil
}

// sealKey is the public sealing key that the node announces, nil in a network
// that is not sealed.
func (n *Node) sealKey() []byte {
	if !n.config.Sealed {
		return nil
	}
	secret, err := sealSecret(n.last.Identity.Key.Seed())
	if err != nil {
		return nil // never: the length is within HKDF's bound
	}
	private, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		return nil // never: any 32 bytes are a key
	}
	return private.PublicKey().Bytes()
}
