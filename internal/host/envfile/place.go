// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// CheckPlace reports whether a file can be put at path, before a lease is
// claimed for nothing: the directory exists and is not read-only, and what is
// there now is a regular file or a link. flag names the setting that chooses
// another file.
func CheckPlace(path, flag string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err == nil && errors.Is(syscall.Access(dir, writable), syscall.EROFS) {
		return fmt.Errorf("%s cannot be written: %w: make it writable (the unit needs ReadWritePaths=%s in a drop-in), or name another file with %s",
			path, syscall.EROFS, dir, flag)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w: make the directory %s, or name another file with %s", path, err, dir, flag)
	}
	if err := replaceable(path); err != nil {
		return fmt.Errorf("%s cannot be written: %w: name another file with %s", path, err, flag)
	}
	return nil
}

// writable is W_OK of access(2).
const writable = 2

// errNoFile is about a path at which there is no file.
var errNoFile = errors.New("there is something else than a file")

// replaceable refuses what a rename or a removal would take away for good: a
// device, a socket, a pipe, a directory, and a link to one of these. Nothing at
// path is fine.
func replaceable(path string) error {
	for _, look := range []func(string) (fs.FileInfo, error){os.Lstat, os.Stat} {
		info, err := look(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case info.Mode()&fs.ModeSymlink == 0 && !info.Mode().IsRegular():
			return errNoFile
		}
	}
	return nil
}
