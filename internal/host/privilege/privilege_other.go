// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package privilege

import (
	"fmt"
	"runtime"
)

// Check returns ErrPlatform: the data path and the host set-up are Linux's.
func Check() error {
	return fmt.Errorf("privilege: %w, not on %s", ErrPlatform, runtime.GOOS)
}
