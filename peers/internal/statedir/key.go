// SPDX-License-Identifier: Apache-2.0

package statedir

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
)

const (
	keySize    = 32 // bytes: AES-256-GCM
	maxKeyFile = 1024
)

// Key is a cluster key. It prints as "redacted", whatever it is printed with.
type Key [keySize]byte

// String returns "redacted".
func (Key) String() string { return "redacted" }

// GoString returns "redacted".
func (Key) GoString() string { return "redacted" }

// LogValue implements [slog.LogValuer] and hides the key.
func (Key) LogValue() slog.Value { return slog.StringValue("redacted") }

// Format implements [fmt.Formatter] and hides the key from any verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "redacted") }

// NewKey returns a new cluster key as text: 32 random bytes in base64, without
// a line end.
func NewKey() (string, error) {
	var key Key
	if _, err := rand.Read(key[:]); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(key[:]), nil
}

// ReadKey reads a key file. Its errors are an [*Error] of [BadKey] and never
// quote the content.
func ReadKey(path string) (Key, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrPermission) {
		return Key{}, failure(BadKey, path, "key file: %v: put it into /etc (the unit hides /home and /root), or correct --key-file", err)
	}
	if err != nil {
		return Key{}, failure(BadKey, path, "key file: %v: make a key with `flanneld keygen`, or correct --key-file", err)
	}
	if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o077 != 0 {
		return Key{}, failure(BadKey, path, "key file %s can be read by others (mode %04o): chmod 600 it", path, mode.Perm())
	}
	b, err := readFile(path, maxKeyFile)
	if err != nil {
		return Key{}, failure(BadKey, path, "key file %s: %v", path, err)
	}
	key, err := parseKey(b)
	if err != nil {
		return Key{}, failure(BadKey, path, "key file %s: %v; `flanneld keygen` makes a key", path, err)
	}
	return key, nil
}

// parseKey reads base64 of 32 bytes. Blanks and line ends around it are
// allowed.
func parseKey(b []byte) (Key, error) {
	text := bytes.TrimSpace(b)
	if len(text) == 0 {
		return Key{}, fmt.Errorf("it is empty; wanted: base64 of %d bytes", keySize)
	}
	raw, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return Key{}, fmt.Errorf("it is not base64; wanted: base64 of %d bytes", keySize)
	}
	if len(raw) != keySize {
		return Key{}, fmt.Errorf("it holds %d bytes; wanted: base64 of %d", len(raw), keySize)
	}
	return Key(raw), nil
}
