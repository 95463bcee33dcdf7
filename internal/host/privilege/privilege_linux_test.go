// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCheckSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tun"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	failing := func(err error) func() error { return func() error { return err } }
	for name, c := range map[string]struct {
		capable bool
		open    func() error
		want    error
		says    string
	}{
		"all there":     {true, func() error { return openTUN(filepath.Join(dir, "tun")) }, nil, ""},
		"no capability": {false, failing(nil), ErrCapability, "as root"},
		"no file":       {true, func() error { return openTUN(filepath.Join(dir, "absent")) }, ErrNoTUN, "modprobe tun"},
		"no driver":     {true, failing(unix.ENODEV), ErrNoTUN, "--device /dev/net/tun"},
		"denied":        {true, failing(unix.EPERM), ErrTUNDenied, "device rules"},
	} {
		err := check(c.capable, c.open)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %q does not say %q in one line", name, err, c.says)
		}
	}
}

func TestCapabilityIsReadFromTheKernel(t *testing.T) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var effective uint64
	for line := range strings.Lines(string(status)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			for _, c := range strings.TrimSpace(hex) {
				effective = effective<<4 | uint64(strings.IndexRune("0123456789abcdef", c))
			}
		}
	}
	got, err := netAdmin()
	if want := effective>>unix.CAP_NET_ADMIN&1 == 1; err != nil || got != want {
		t.Errorf("got %t, %v, /proc says %t", got, err, want)
	}
}
