// SPDX-License-Identifier: Apache-2.0

package gcm

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

const (
	// KeySize is the length of a key, in bytes.
	KeySize = 32
	// NonceSize is the length of a nonce, in bytes.
	NonceSize = 12
	// TagSize is how much longer a sealed packet is, in bytes.
	TagSize = 16
	// DataSize is the length of additional data that is fast, in bytes.
	DataSize = blockSize

	blockSize = 16
)

// New returns AES-256-GCM with a key of KeySize bytes, which it copies. Nonces
// have NonceSize bytes. Any number of goroutines may use it at once.
//
// It is fast for packets that are sealed and opened in place, with additional
// data of DataSize bytes. Other calls are right, but slow.
func New(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("gcm: a key of %d bytes, want %d", len(key), KeySize)
	}
	if Wide() {
		return newWide([KeySize]byte(key)), nil
	}
	return standard(key), nil
}

// standard is the standard library's AES-GCM.
func standard(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCM(block); err == nil {
			return aead
		}
	}
	panic("gcm: " + err.Error()) // the length is right
}
