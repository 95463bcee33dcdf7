// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// fetchKept gets something of Debian's testing suite into the cache, unless it
// is there and not old. It returns a variable for the inner run: found with the
// path, or failed with the reason. A failure is no error here, but for the
// tests that need it. An old one is used where a newer one cannot be had.
func fetchKept(name, found, failed string, fetch func(path string) error) ([]string, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cache, name)
	info, err := os.Stat(path)
	if err != nil || time.Since(info.ModTime()) > keptFor {
		if fetchErr := fetch(path); fetchErr != nil && err != nil {
			return []string{failed + "=" + strings.Join(strings.Fields(fetchErr.Error()), " ")}, nil
		}
	}
	return []string{found + "=" + path}, nil
}

// unpackPackages gets packages of Debian's testing suite, and unpacks them into
// work/root.
func unpackPackages(work string, names ...string) error {
	if err := downloadPackages(work, names...); err != nil {
		return err
	}
	packages, _ := filepath.Glob(filepath.Join(work, "*.deb"))
	for _, file := range packages {
		if err := run(work, "dpkg-deb", "-x", file, "root"); err != nil {
			return err
		}
	}
	return nil
}
