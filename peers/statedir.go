package peers

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

// The files of a state directory.
const (
	identityFile = "identity" // Ed25519 key, PEM
	vaultFile    = "lease"    // network, lease, promises, start number: never lost, or nothing is promised
	tableFile    = "nodes"    // node table: can be pulled again
)

// stateDir is a locked state directory.
type stateDir struct {
	path string
	lock *os.File
	log  *slog.Logger
	// replace makes content the whole of a file, durably.
	replace func(path string, content []byte) error
}

// openStateDir makes the directory where it is missing, locks it, makes sure that it can be written to, and clears
// away what an interrupted write left.
func openStateDir(path string, log *slog.Logger) (*stateDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, stateFailure(path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, stateFailure(path, err)
	}
	if !info.IsDir() {
		return nil, failure(ErrState, "state directory %s is not a directory: move it away, or name another with --state-dir", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(path, 0o700); err != nil {
			return nil, failure(ErrState, "state directory %s is open to others (mode %04o): chmod 700 it", path, info.Mode().Perm())
		}
	}
	lock, err := lockDir(path)
	if err != nil {
		return nil, err
	}
	d := &stateDir{path: path, lock: lock, log: log, replace: replaceFile}
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

// Close gives the directory up. Closing twice is no error.
func (d *stateDir) Close() error {
	if err := d.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("peers: state directory %s: %w", d.path, err)
	}
	return nil
}

func (d *stateDir) file(name string) string { return filepath.Join(d.path, name) }

// write replaces a file.
func (d *stateDir) write(name string, content []byte) error { return d.replace(d.file(name), content) }

// replaceFile replaces a file: afterwards, whatever happens, it is the old one or the new one, and once replaceFile has returned nil,
// the new one. renameio syncs the file before the rename; the rename is durable once the directory is synced too.
func replaceFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	err := renameio.WriteFile(path, content, 0o600, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// remove takes a file out, durably. A missing one is no error.
func (d *stateDir) remove(name string) error {
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

// setAside renames a file that cannot be used to NAME.corrupt-N, and returns the new name.
func (d *stateDir) setAside(name string) (string, error) {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.corrupt-%d", d.file(name), n)
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		if err := os.Rename(d.file(name), aside); err != nil {
			return "", stateFailure(d.path, err)
		}
		return aside, syncDir(d.path)
	}
}

// sweep removes temporary files of writes that were cut short.
func (d *stateDir) sweep() error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return stateFailure(d.path, err)
	}
	for _, e := range entries {
		if !isTemporary(e.Name()) {
			continue
		}
		if err := os.Remove(d.file(e.Name())); err != nil {
			return stateFailure(d.path, err)
		}
	}
	return nil
}

// isTemporary knows the names renameio gives: a dot, the file's name, a number.
func isTemporary(name string) bool {
	for _, base := range []string{identityFile, vaultFile, tableFile, probeFile} {
		number, ok := strings.CutPrefix(name, "."+base)
		if ok && number != "" && strings.Trim(number, "0123456789") == "" {
			return true
		}
	}
	return false
}

const (
	probeFile = "probe"
	probeSize = 64 << 10 // bytes: more than a lease file of a network of some hundred nodes
)

// probe finds out at the start, not at the first lease, that the directory is read-only or full.
func (d *stateDir) probe() error {
	if err := d.write(probeFile, make([]byte, probeSize)); err != nil {
		return stateFailure(d.path, err)
	}
	if err := d.remove(probeFile); err != nil {
		return stateFailure(d.path, err)
	}
	return nil
}

// stateFailure says what to do about a state directory that does not work.
func stateFailure(dir string, err error) error {
	advice := "make it usable, or name another with --state-dir"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "it is full; make room"
	case errors.Is(err, syscall.EROFS):
		advice = "it is read-only; remount it, or name another with --state-dir"
	case errors.Is(err, fs.ErrPermission):
		advice = "it must belong to the user flanneld runs as"
	}
	return failure(ErrState, "state directory %s: %v: %s", dir, err, advice)
}
