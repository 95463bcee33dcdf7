// SPDX-License-Identifier: Apache-2.0

// Package rundir makes the run directory, and finds out whether a directory
// can be trusted.
package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// CheckTrust refuses a directory that another user could change: root sources
// files of the run directory, and the state directory holds keys. Where the
// directory does not exist yet, only the directories above it are judged.
// setting is the flag that names it. The error says what to do.
func CheckTrust(path, setting string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("%s %s: %w", setting, path, err)
	}
	refuse := func(what, why string) error {
		return fmt.Errorf("%s %s cannot be trusted: %s %s: remove it or change it (chown, chmod), or name another directory with %s", setting, path, what, why, setting)
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s %s: %w: name another directory (the unit hides /home and /root)", setting, path, err)
	case err != nil:
		return fmt.Errorf("%s %s: %w", setting, path, err)
	case info.Mode().Type() == fs.ModeSymlink:
		return refuse("it", "is a symbolic link")
	case !info.IsDir():
		return fmt.Errorf("%s %s: %w: move it away, or name another directory with %s", setting, path, syscall.ENOTDIR, setting)
	default:
		if why := untrusted(info); why != "" {
			return refuse("it", why)
		}
		if info.Mode().Perm()&0o022 != 0 {
			return refuse("it", fmt.Sprintf("can be written by others than its owner (mode %#o)", info.Mode().Perm()))
		}
	}
	return checkAbove(path, refuse)
}

// checkAbove judges the directories above, as the kernel finds them.
func checkAbove(path string, refuse func(what, why string) error) error {
	above := filepath.Dir(path)
	for {
		real, err := filepath.EvalSymlinks(above)
		if err == nil {
			above = real
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || above == filepath.Dir(above) {
			return fmt.Errorf("directory %s: %w", above, err)
		}
		above = filepath.Dir(above)
	}
	for {
		info, err := os.Stat(above)
		if err != nil {
			return fmt.Errorf("directory %s: %w", above, err)
		}
		if why := untrusted(info); why != "" {
			return refuse(above, why)
		}
		// In a sticky directory, users cannot rename what belongs to others.
		if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return refuse(above, fmt.Sprintf("can be written by everyone (mode %#o)", info.Mode().Perm()))
		}
		if above == filepath.Dir(above) {
			return nil
		}
		above = filepath.Dir(above)
	}
}

// untrusted returns why the owner is not trusted, "" where it is root or the
// user that this process runs as.
func untrusted(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Sprintf("belongs to user %d", stat.Uid)
	}
	return ""
}
