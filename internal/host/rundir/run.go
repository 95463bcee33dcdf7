// SPDX-License-Identifier: Apache-2.0

package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// runMode lets every user read subnet.env, which other programs need.
const runMode = 0o755

// Make makes the run directory where it is missing, with all above it; systemd
// makes it before the daemon starts. An existing directory stays as it is. The
// error says what to do.
func Make(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(path, runMode); err == nil {
			err = os.Chmod(path, runMode) // whatever the umask
		}
	} else if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("run directory %s cannot be made: %w: make it (the unit needs ReadWritePaths=%[1]s in a drop-in as well), or name another with --run-dir", path, err)
	}
	if err != nil {
		return fmt.Errorf("run directory %s cannot be used: %w: make it, or name another with --run-dir", path, err)
	}
	return nil
}
