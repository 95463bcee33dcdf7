package peers

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"

	"flanneld/peers/internal/core"
)

const (
	identityPEM     = "PRIVATE KEY" // PKCS #8, RFC 5208
	identityHeader  = "Node-ID"     // the ID that belongs to the key: a flipped bit makes another valid key
	maxIdentitySize = 4096
)

// identity reads the node's key, or makes it where there is none; made says which. Nothing of the machine goes into it: images
// and virtual machines are copied.
func (d *stateDir) identity() (id core.Identity, made bool, err error) {
	path := d.file(identityFile)
	b, err := readFile(path, maxIdentitySize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		id, err = d.makeIdentity()
		return id, true, err
	case err != nil && isUnreadable(err):
		return id, false, stateFailure(d.path, err)
	}
	var key ed25519.PrivateKey
	if err == nil {
		key, err = decodeIdentity(b)
	}
	if err != nil {
		return id, false, failure(ErrStateCorrupt, "%s is corrupt (%v): restore it; or move it away, and this host becomes a new node while its old subnet waits for the lease TTL or `flanneld forget`",
			path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return id, false, stateFailure(d.path, err)
	}
	return core.Identity{Key: key}, false, nil
}

func (d *stateDir) makeIdentity() (core.Identity, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return core.Identity{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return core.Identity{}, err
	}
	if err := d.write(identityFile, pem.EncodeToMemory(encodeIdentity(key, der))); err != nil {
		return core.Identity{}, stateFailure(d.path, err)
	}
	return core.Identity{Key: key}, nil
}

func encodeIdentity(key ed25519.PrivateKey, der []byte) *pem.Block {
	return &pem.Block{Type: identityPEM, Headers: map[string]string{identityHeader: core.Identity{Key: key}.ID().String()}, Bytes: der}
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
	if id := (core.Identity{Key: key}).ID().String(); block.Headers[identityHeader] != id {
		return nil, errors.New("its key is not the one of its " + identityHeader)
	}
	return key, nil
}
