package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binaryVariable names the flanneld under test, for the inner run.
const binaryVariable = "FLANNELD_LAB_BINARY"

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

// Build compiles flanneld as `make build` does and returns the variable that
// tells the inner run where it is. It runs before [Enter] leaves the machine's
// network, because modules may have to be fetched. Where FLANNELD_LAB_BINARY
// names a program already, that one is tested.
func Build() ([]string, error) {
	if os.Getenv(binaryVariable) != "" {
		return nil, nil
	}
	dir, err := CacheDir()
	if err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "flanneld")
	module, err := ModuleRoot()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-o", binary, "-trimpath", "-ldflags", "-X main.version=lab", "./cmd/flanneld")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build flanneld: %w\n%s", err, out)
	}
	return []string{binaryVariable + "=" + binary}, nil
}

// ModuleRoot is the directory of the module's go.mod.
func ModuleRoot() (string, error) {
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
