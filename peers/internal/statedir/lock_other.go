// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package statedir

import (
	"os"
	"runtime"
)

// lockDir refuses: only Linux has a lock here, as only Linux has flanneld.
func lockDir(dir string) (*os.File, error) {
	return nil, failure(Unusable, dir, "lock state directory %s: not supported on %s", dir, runtime.GOOS)
}
