// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// CheckPlace reports whether the directory of a file exists, before a lease is
// claimed for nothing. flag names the setting that chooses another file.
func CheckPlace(path, flag string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w: make the directory %s, or name another file with %s", path, err, dir, flag)
	}
	return nil
}
