// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// LeaseFile is the content of a state directory's lease file, as the daemon's
// next start will find it. It is spelt out here a second time, so that a change
// of the format is noticed.
type LeaseFile struct {
	Network cbor.RawMessage `cbor:"1,keyasint"`
	Start   uint64          `cbor:"2,keyasint"`
	Lease   []byte          `cbor:"3,keyasint"` // the signed record, empty without one
	Slot    uint32          `cbor:"4,keyasint"` // the subnet's number
	Pending bool            `cbor:"9,keyasint"` // granted, and given up by the next start: not confirmed yet
}

// ReadLeaseFile reads the lease file of a state directory without a running
// daemon, and checks every file there. A temporary file may be left of a write
// that was cut short, but a file with its final name is whole. If there is no
// lease file yet, it returns a zero LeaseFile.
func ReadLeaseFile(dir string) (l LeaseFile, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return l, err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "lease":
			err = readState(filepath.Join(dir, name), "fld-leas", &l)
		case name == "nodes":
			var table cbor.RawMessage
			err = readState(filepath.Join(dir, name), "fld-node", &table)
		case name == "identity":
			err = wholeIdentity(filepath.Join(dir, name))
		case name == "lock", name == "probe", name == "events", name == "cluster-key", strings.HasPrefix(name, "."):
		default:
			err = fmt.Errorf("unexpected file %s", name)
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

// readState takes the wrapping off a state file and decodes what is in it.
func readState(path, magic string, into any) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	const header = 8 + 4 + 8 // magic, version, length
	if len(b) < header+sha256.Size || string(b[:8]) != magic {
		return fmt.Errorf("%s: %d bytes, not a state file", path, len(b))
	}
	content, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := sha256.Sum256(content); !bytes.Equal(sum, want[:]) {
		return fmt.Errorf("%s: the checksum is wrong", path)
	}
	if n := binary.BigEndian.Uint64(b[12:]); n != uint64(len(content)-header) {
		return fmt.Errorf("%s: %d bytes of content, the header says %d", path, len(content)-header, n)
	}
	return cbor.Unmarshal(content[header:], into)
}

func wholeIdentity(path string) error {
	b, err := os.ReadFile(path)
	if err == nil && !bytes.HasSuffix(b, []byte("-----END PRIVATE KEY-----\n")) {
		err = fmt.Errorf("%s: half a key: %q", path, b)
	}
	return err
}
