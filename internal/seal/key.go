// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
)

const keySize = 32 // bytes of each key

// NodeID is the ID of a node, as its signed record has it.
type NodeID = [16]byte

// NetworkID is the ID of a network.
type NetworkID = [16]byte

// PrivateKey is the X25519 key of a node (RFC 7748). It prints as "redacted",
// whatever it is printed with.
type PrivateKey [keySize]byte

// Public returns the public key that belongs to the key.
func (k PrivateKey) Public() [keySize]byte {
	private, err := ecdh.X25519().NewPrivateKey(k[:])
	if err != nil {
		panic("seal: " + err.Error()) // any 32 bytes are a key
	}
	return [keySize]byte(private.PublicKey().Bytes())
}

// String returns "redacted".
func (PrivateKey) String() string { return "redacted" }

// GoString returns "redacted".
func (PrivateKey) GoString() string { return "redacted" }

// LogValue implements [slog.LogValuer] and hides the key.
func (PrivateKey) LogValue() slog.Value { return slog.StringValue("redacted") }

// Format implements [fmt.Formatter] and hides the key from any verb.
func (PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "redacted") }

// derive returns a key made of another by HKDF with SHA-256 (RFC 5869).
func derive(secret, salt []byte, purpose string) (key [keySize]byte) {
	b, err := hkdf.Key(sha256.New, secret, salt, purpose, keySize)
	if err != nil {
		panic("seal: " + err.Error()) // the length is within the limit
	}
	copy(key[:], b)
	clear(b)
	return key
}

// streamKey returns the key of a stream. The session key is already one of a
// single direction: Noise makes two.
func streamKey(session *[keySize]byte, stream uint8) [keySize]byte {
	return derive(session[:], nil, "flanneld sealed stream "+string([]byte{stream}))
}

// clusterKey is what a cluster key becomes in one network.
type clusterKey struct {
	psk [keySize]byte
	own guard // for messages to this node
}

func newClusterKey(cluster []byte, network NetworkID, public [keySize]byte) *clusterKey {
	k := &clusterKey{psk: derive(cluster, network[:], "flanneld sealed psk")}
	k.own = newGuard(&k.psk, public)
	return k
}

func (k *clusterKey) wipe() {
	clear(k.psk[:])
	k.own.wipe()
}
