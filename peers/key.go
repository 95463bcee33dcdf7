package peers

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"os"
)

const (
	keySize    = 32 // bytes: AES-256-GCM
	maxKeyFile = 1024
)

// clusterKey seals the gossip. It prints as "redacted", whatever it is printed with.
type clusterKey [keySize]byte

func (clusterKey) String() string             { return "redacted" }
func (clusterKey) GoString() string           { return "redacted" }
func (clusterKey) LogValue() slog.Value       { return slog.StringValue("redacted") }
func (clusterKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "redacted") }

// NewKey returns a new cluster key: 32 random bytes in base64, without a line end.
func NewKey() (string, error) {
	var key clusterKey
	if _, err := rand.Read(key[:]); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(key[:]), nil
}

// CheckKey reports whether the key file can be used: nil, or an error of
// [ErrKey] that says what to do. The file may still change before [Open].
func CheckKey(path string) error {
	_, err := readKey(path)
	return err
}

// readKey reads a key file. Its errors never quote the content.
func readKey(path string) (clusterKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return clusterKey{}, failure(ErrKey, "key file: %v: make a key with `flanneld keygen`, or correct --key-file", err)
	}
	if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o077 != 0 {
		return clusterKey{}, failure(ErrKey, "key file %s can be read by others (mode %04o): chmod 600 it", path, mode.Perm())
	}
	b, err := readFile(path, maxKeyFile)
	if err != nil {
		return clusterKey{}, failure(ErrKey, "key file %s: %v", path, err)
	}
	key, err := parseKey(b)
	if err != nil {
		return clusterKey{}, failure(ErrKey, "key file %s: %v; `flanneld keygen` makes a key", path, err)
	}
	return key, nil
}

// parseKey reads base64 of 32 bytes, blanks and line ends around it allowed.
func parseKey(b []byte) (clusterKey, error) {
	text := bytes.TrimSpace(b)
	if len(text) == 0 {
		return clusterKey{}, fmt.Errorf("it is empty; wanted: base64 of %d bytes", keySize)
	}
	raw, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil {
		return clusterKey{}, fmt.Errorf("it is not base64; wanted: base64 of %d bytes", keySize)
	}
	if len(raw) != keySize {
		return clusterKey{}, fmt.Errorf("it holds %d bytes; wanted: base64 of %d", len(raw), keySize)
	}
	return clusterKey(raw), nil
}
