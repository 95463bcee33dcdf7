// SPDX-License-Identifier: Apache-2.0

package statedir

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// A state file, big endian:
//
//	0   8  magic: says which file this is
//	8   4  version of what follows
//	12  8  length of the content in bytes
//	20  n  content (CBOR, encoded by the core)
//	..  32 SHA-256 of all before it
//
// The checksum finds torn and rotten files. It is no defense against a program
// that can write to the directory.
//
// Version 1 is flanneld 0.1's. The core recognizes and converts its content.
const (
	stateVersion    = 2
	stateVersionMin = 1
	stateHeaderSize = 8 + 4 + 8
	stateOverhead   = stateHeaderSize + sha256.Size

	maxLeaseSize = 4 << 20
	maxTableSize = 64 << 20
)

// File is the format of [LeaseFile] or of [TableFile].
type File struct {
	name  string
	magic [8]byte
	limit int // of the content, bytes
}

// The two files that the core encodes: what must never be lost, and what can be
// pulled again from other nodes.
var (
	LeaseFile = File{leaseName, [8]byte([]byte("fld-leas")), maxLeaseSize}
	TableFile = File{tableName, [8]byte([]byte("fld-node")), maxTableSize}
)

// newerError is a state file that a later flanneld wrote.
type newerError struct{ version uint32 }

func (e newerError) Error() string {
	return fmt.Sprintf("format version %d, this flanneld knows %d", e.version, stateVersion)
}

// Encode returns the file that holds content.
func (f File) Encode(content []byte) []byte {
	b := make([]byte, 0, stateOverhead+len(content))
	b = append(b, f.magic[:]...)
	b = binary.BigEndian.AppendUint32(b, stateVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(len(content)))
	b = append(b, content...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decode returns the content of a file, which is part of b. The error is a
// newerError, or says in what way b is corrupt.
func (f File) decode(b []byte) ([]byte, error) {
	if len(b) < stateOverhead {
		return nil, fmt.Errorf("truncated to %d bytes", len(b))
	}
	if !bytes.Equal(b[:8], f.magic[:]) {
		return nil, errors.New("not a flanneld file")
	}
	if v := binary.BigEndian.Uint32(b[8:]); v > stateVersion {
		return nil, newerError{v}
	} else if v < stateVersionMin {
		return nil, fmt.Errorf("format version %d was never used", v)
	}
	if n := binary.BigEndian.Uint64(b[12:]); n != uint64(len(b)-stateOverhead) {
		return nil, fmt.Errorf("%d bytes of content, %d expected", len(b)-stateOverhead, n)
	}
	content, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := sha256.Sum256(content); !bytes.Equal(sum, want[:]) {
		return nil, errors.New("the checksum is wrong")
	}
	return content[stateHeaderSize:], nil
}

// Read returns the content of the file in d, nil without an error where there
// is no such file. The error says in what way the file cannot be read or is
// corrupt.
func (f File) Read(d *Dir) ([]byte, error) {
	b, err := readFile(d.file(f.name), f.limit+stateOverhead)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f.decode(b)
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int) ([]byte, error) {
	info, err := os.Stat(path) // before the open, which would wait for ever on a pipe
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return b, err
}
