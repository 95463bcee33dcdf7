// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"flanneld/internal/host"
)

// File is one file that other programs read, as a part of the host.
type File struct {
	name, path string

	mu   sync.Mutex
	want []byte // nil: not known yet
}

// NewFile makes the part for the file at path; name is for the log.
func NewFile(name, path string) *File { return &File{name: name, path: path} }

// Want sets what the file should hold, nil for not known. When Want returns, no
// Ensure for older content is running.
func (f *File) Want(content []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.want = content
}

// Name is the name that NewFile was given.
func (f *File) Name() string { return f.name }

// Ensure writes again what was removed or changed.
func (f *File) Ensure(ctx context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.want == nil || f.inPlace() || ctx.Err() != nil {
		return nil, nil
	}
	if err := Write(f.path, f.want); err != nil {
		return nil, host.Advise(fmt.Errorf("%s was removed or changed and cannot be written: %w", f.path, err), f.advice())
	}
	return []string{f.path + " was removed or changed"}, nil
}

// Check reports a file that was removed or changed.
func (f *File) Check(context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.want == nil || f.inPlace() {
		return nil, nil
	}
	return []string{f.path + " was removed or changed"}, nil
}

// Present names the file where it exists.
func (f *File) Present() []string {
	if _, err := os.Lstat(f.path); err != nil || replaceable(f.path) != nil {
		return nil
	}
	return []string{f.path}
}

// Remove deletes the file. What is there and no file stays.
func (f *File) Remove(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if replaceable(f.path) != nil {
		return nil
	}
	if err := os.Remove(f.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// inPlace reports whether the file holds what it should.
func (f *File) inPlace() bool {
	have, err := os.ReadFile(f.path)
	return err == nil && bytes.Equal(have, f.want)
}

// advice is how the file can be written again.
func (f *File) advice() string {
	if errors.Is(replaceable(f.path), errNoFile) {
		return fmt.Sprintf("mv %s %[1]s.old (what is there is no file); it is tried again", f.path)
	}
	return "make room or the directory writable; it is tried again"
}
