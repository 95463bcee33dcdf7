// SPDX-License-Identifier: Apache-2.0

package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// The files of a state directory, beside the lock.
const (
	identityName = "identity" // Ed25519 key, PEM
	leaseName    = "lease"    // network, lease, promises, start number: never lost, or nothing is promised
	tableName    = "nodes"    // node table: can be pulled again
	eventsName   = "events"   // kept by package event; only swept here
)

// Dir is a locked state directory. [Store] may use it beside one other
// goroutine; apart from that it is not safe for concurrent use.
type Dir struct {
	// Replace makes content the whole of a file, durably. [Open] sets
	// [ReplaceFile]; tests set others.
	Replace func(path string, content []byte) error

	path string
	lock *os.File
	log  *slog.Logger
}

// Open makes the directory where it is missing and locks it. It proves that the
// directory can be written to, and removes what an interrupted write left. Its
// errors are an [*Error], and mean that nothing is locked.
func Open(path string, log *slog.Logger) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, unusable(path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, unusable(path, err)
	}
	if !info.IsDir() {
		return nil, failure(Unusable, path, "state directory %s is not a directory: move it away, or name another with --state-dir", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o700); err != nil {
			return nil, failure(Unusable, path, "state directory %s is open to others (mode %04o): chmod 700 it", path, info.Mode().Perm())
		}
	}
	lock, err := lockDir(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{Replace: ReplaceFile, path: path, lock: lock, log: log}
	err = d.sweep()
	if err == nil {
		err = d.probe()
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	return d, nil
}

// HasState reports whether a directory holds a file of a node, or hides whether
// it does.
func HasState(path string) bool {
	for _, name := range []string{identityName, leaseName, tableName} {
		if _, err := os.Lstat(filepath.Join(path, name)); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// Path returns the path that the directory was opened by.
func (d *Dir) Path() string { return d.path }

// Close unlocks the directory. Closing twice is no error.
func (d *Dir) Close() error {
	if err := d.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return failure(Unusable, d.path, "state directory %s: %v", d.path, err)
	}
	return nil
}

// Write makes content the content of a file, durably. Its errors are an
// [*Error].
func (d *Dir) Write(f File, content []byte) error {
	if err := d.write(f.name, f.Encode(content)); err != nil {
		return unusable(d.path, err)
	}
	return nil
}

func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }

// write replaces a file by its name.
func (d *Dir) write(name string, content []byte) error { return d.Replace(d.file(name), content) }

// ReplaceFile replaces a file: after a crash it is the old one or the new one.
// Once ReplaceFile has returned nil, it is the new one. renameio syncs the file
// before the rename; the rename is durable once the directory is synced, too.
func ReplaceFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	err := renameio.WriteFile(path, content, 0o600, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// remove removes a file, durably. A missing one is no error.
func (d *Dir) remove(name string) error {
	if err := os.Remove(d.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(d.path)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// setAside renames a file that cannot be used to NAME.corrupt-N, and returns
// the new name.
func (d *Dir) setAside(name string) (string, error) {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.corrupt-%d", d.file(name), n)
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		if err := os.Rename(d.file(name), aside); err != nil {
			return "", unusable(d.path, err)
		}
		if err := syncDir(d.path); err != nil {
			return aside, unusable(d.path, err)
		}
		return aside, nil
	}
}

// sweep removes temporary files of writes that were cut short.
func (d *Dir) sweep() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return unusable(d.path, err)
	}
	for _, e := range entries {
		if !isTemporary(e.Name()) {
			continue
		}
		if err := os.Remove(d.file(e.Name())); err != nil {
			return unusable(d.path, err)
		}
	}
	return nil
}

// isTemporary knows the names renameio gives: a dot, the file's name, a number.
func isTemporary(name string) bool {
	for _, base := range []string{identityName, leaseName, tableName, probeName, eventsName} {
		number, ok := strings.CutPrefix(name, "."+base)
		if ok && number != "" && strings.Trim(number, "0123456789") == "" {
			return true
		}
	}
	return false
}

const (
	probeName = "probe"
	probeSize = 64 << 10 // bytes: more than a lease file of a network of some hundred nodes
)

// probe finds out at the start, not at the first lease, that the directory is
// read-only or full.
func (d *Dir) probe() error {
	if err := d.write(probeName, make([]byte, probeSize)); err != nil {
		return unusable(d.path, err)
	}
	if err := d.remove(probeName); err != nil {
		return unusable(d.path, err)
	}
	return nil
}

// unusable says what to do about a state directory that does not work.
func unusable(dir string, err error) error {
	advice := "make it usable, or name another with --state-dir"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "it is full; make room"
	case errors.Is(err, syscall.EROFS):
		advice = "it is read-only; remount it (the unit needs ReadWritePaths=" + dir + " in a drop-in, and the directory), or name another with --state-dir"
	case errors.Is(err, fs.ErrPermission):
		advice = "it must belong to the user flanneld runs as"
	}
	return failure(Unusable, dir, "state directory %s: %v: %s", dir, err, advice)
}
