// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// binaryVariable names a flanneld to test instead of the one of this tree.
const binaryVariable = "FLANNELD_LAB_BINARY"

// moduleVariable tells the inner run where the module is.
const moduleVariable = "FLANNELD_LAB_MODULE"

// CacheDir is where things that are worth keeping between runs go: the user's
// cache directory, which may be removed at any time.
func CacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = "/var/cache"
	}
	dir := filepath.Join(base, "flanneld-lab")
	return dir, os.MkdirAll(dir, 0o755)
}

// Build compiles flanneld and returns a variable for the inner run, which only
// has to link it, into the lab's own directory. It runs before [Enter] leaves
// the machine's network, because modules may have to be fetched. Where
// FLANNELD_LAB_BINARY names a program, that one is tested.
func Build() ([]string, error) {
	if os.Getenv(binaryVariable) != "" {
		return nil, nil
	}
	module, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	if err := compile(module, os.DevNull); err != nil {
		return nil, err
	}
	return []string{moduleVariable + "=" + module}, nil
}

// underTest is the flanneld under test. It is linked at the first call.
var underTest = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(binaryVariable); path != "" {
		return path, nil
	}
	path := filepath.Join(Root, "flanneld")
	return path, compile(os.Getenv(moduleVariable), path)
})

// compile builds flanneld as `make build` does.
func compile(module, output string) error {
	cmd := exec.Command("go", "build", "-o", output, "-trimpath", "-buildvcs=false", "-ldflags", "-X main.version=lab", "./cmd/flanneld")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build flanneld: %w\n%s", err, out)
	}
	return nil
}

// moduleRoot is the directory of the module's go.mod.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find go.mod: %w", err)
	}
	path := strings.TrimSpace(string(out))
	if path == "" || path == os.DevNull {
		return "", fmt.Errorf("find go.mod: not inside the flanneld module")
	}
	return filepath.Dir(path), nil
}
