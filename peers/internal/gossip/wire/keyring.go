// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"sync"
)

// KeySize is the length of a cluster key in bytes: AES-256.
const KeySize = 32

// Keyring holds the cluster keys of this node. It is safe for concurrent use. A
// nil Keyring stands for a network that is not sealed.
type Keyring struct {
	mu   sync.Mutex
	keys [][KeySize]byte // the first one seals; all open
}

// NewKeyring returns a ring with one key.
func NewKeyring(key [KeySize]byte) *Keyring {
	return &Keyring{keys: [][KeySize]byte{key}}
}

// Use seals with a key from now on. All keys used before it still open.
func (r *Keyring) Use(key [KeySize]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := [][KeySize]byte{key}
	for _, old := range r.keys {
		if old != key {
			keys = append(keys, old)
		}
	}
	r.keys = keys
}

// Keys are the keys, the one that seals first. The slice must not be changed;
// Use replaces it.
func (r *Keyring) Keys() [][KeySize]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys
}

func (r *Keyring) primary() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := r.keys[0]
	return key[:]
}
