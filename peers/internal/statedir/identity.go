// SPDX-License-Identifier: Apache-2.0

package statedir

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"

	"flanneld/peers/internal/record"
)

const (
	identityPEM     = "PRIVATE KEY" // PKCS #8, RFC 5208
	identityHeader  = "Node-ID"     // the ID that belongs to the key: a flipped bit makes another valid key
	maxIdentitySize = 4096
)

// identity reads the node's key, or makes it where there is none; made reports
// which. Nothing about the machine goes into it, because images and virtual
// machines are copied.
func (d *Dir) identity() (id record.Identity, made bool, err error) {
	path := d.file(identityName)
	b, err := readFile(path, maxIdentitySize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		id, err = d.makeIdentity()
		return id, true, err
	case err != nil && isUnreadable(err):
		return id, false, unusable(d.path, err)
	}
	var key ed25519.PrivateKey
	if err == nil {
		key, err = decodeIdentity(b)
	}
	if err != nil {
		return id, false, failure(Corrupt, path, "%s is corrupt (%v): restore it; or move it away, and this host becomes a new node while its old subnet waits for the lease TTL or `flanneld forget`",
			path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return id, false, unusable(d.path, err)
	}
	return record.Identity{Key: key}, false, nil
}

func (d *Dir) makeIdentity() (record.Identity, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return record.Identity{}, err
	}
	id := record.Identity{Key: key}
	b, err := EncodeIdentity(id)
	if err != nil {
		return record.Identity{}, err
	}
	if err := d.write(identityName, b); err != nil {
		return record.Identity{}, unusable(d.path, err)
	}
	return id, nil
}

// EncodeIdentity returns the identity file of a node.
func EncodeIdentity(id record.Identity) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(id.Key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: identityPEM, Headers: map[string]string{identityHeader: id.ID().String()}, Bytes: der}), nil
}

func decodeIdentity(b []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != identityPEM {
		return nil, errors.New("no PEM private key in it")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("no PKCS #8 key in it")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("its key is not an Ed25519 key")
	}
	if id := (record.Identity{Key: key}).ID().String(); block.Headers[identityHeader] != id {
		return nil, errors.New("its key does not match its " + identityHeader)
	}
	return key, nil
}
