//go:build !linux

package peers

import (
	"fmt"
	"os"
	"runtime"
)

// lockDir has a lock for Linux only, as flanneld has.
func lockDir(dir string) (*os.File, error) {
	return nil, fmt.Errorf("peers: lock state directory %s: not supported on %s", dir, runtime.GOOS)
}
