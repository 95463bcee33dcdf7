// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestLimitIsTheLeastOnTheWayUp(t *testing.T) {
	for _, c := range []struct {
		what   string
		cgroup string
		files  map[string]string
		want   int64
	}{
		{"own", "0::/system.slice/flanneld.service\n", map[string]string{"system.slice/flanneld.service/memory.max": "67108864\n"}, 64 << 20},
		{"of the slice", "0::/system.slice/flanneld.service\n", map[string]string{
			"system.slice/flanneld.service/memory.max": "max\n", "system.slice/memory.max": "134217728\n"}, 128 << 20},
		{"high below max", "0::/a\n", map[string]string{"a/memory.max": "134217728\n", "a/memory.high": "67108864\n"}, 64 << 20},
		{"in a namespace", "0::/\n", map[string]string{"memory.max": "33554432\n"}, 32 << 20},
		{"outside of the namespace", "0::/../other\n", map[string]string{"other/memory.max": "33554432\n"}, 32 << 20},
		{"both versions", "4:memory:/a\n0::/b\n", map[string]string{"a/memory.max": "1024\n", "b/memory.max": "33554432\n"}, 32 << 20},
		{"none", "0::/a\n", nil, 0},
		{"version 1 alone", "4:memory:/a\n", map[string]string{"a/memory.max": "33554432\n"}, 0},
		{"not a number", "0::/a\n", map[string]string{"a/memory.max": "much\n"}, 0},
		{"negative", "0::/a\n", map[string]string{"a/memory.max": "-1\n"}, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "cgroup")
			self := filepath.Join(t.TempDir(), "self")
			write(t, self, c.cgroup)
			for name, content := range c.files {
				write(t, filepath.Join(root, name), content)
			}
			if got := granted(self, root); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEnvironmentGoesFirst(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Setenv("GOMEMLIMIT", "off")
	if got := ObeyCgroup(); got != 0 || debug.SetMemoryLimit(-1) != before {
		t.Errorf("it set %d", got)
	}
	if before != math.MaxInt64 {
		t.Logf("the tests run with a limit of %d bytes", before)
	}
}
