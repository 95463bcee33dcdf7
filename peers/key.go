package peers

import (
	"crypto/rand"
	"encoding/base64"
)

const keySize = 32 // bytes: AES-256

// NewKey returns a new cluster key: 32 random bytes in base64, without a line end.
func NewKey() (string, error) {
	var key [keySize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(key[:]), nil
}
