// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"encoding/base64"
	"os"
	"path/filepath"

	"flanneld/peers/internal/statedir"
)

// NewKey returns a new cluster key: 32 random bytes in base64, without a line
// end.
func NewKey() (string, error) { return statedir.NewKey() }

// CheckKey reports whether the key file can be used: nil, or an error of
// [ErrKey] that says what to do. The file may still change before [Open].
func CheckKey(path string) error {
	_, err := statedir.ReadKey(path)
	return ofState(err)
}

// KeyText is the cluster key in a file as text: base64, without a line end. The
// errors are those of [CheckKey].
func KeyText(path string) (string, error) {
	key, err := statedir.ReadKey(path)
	if err != nil {
		return "", ofState(err)
	}
	return base64.StdEncoding.EncodeToString(key[:]), nil
}

// MakeKey writes a new cluster key to a file that is not there yet, mode 0600.
// It makes the directory where that is missing. It makes none for a node that
// has a state directory already: that node needs the key of its network.
func MakeKey(stateDir, path string) error {
	if statedir.HasState(stateDir) {
		return failure(ErrKey, "no cluster key in %s, but %s has the state of a node: restore the key, or write one there with `flanneld keygen` if the network is new",
			path, stateDir)
	}
	key, err := NewKey()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return failure(ErrKey, "cluster key %s: %v: make the directory writable, or name another file with --key-file", path, err)
	}
	if err := statedir.ReplaceFile(path, []byte(key+"\n")); err != nil {
		return failure(ErrKey, "cluster key %s: %v: make room, or name another file with --key-file", path, err)
	}
	return nil
}
