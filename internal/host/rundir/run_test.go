// SPDX-License-Identifier: Apache-2.0

package rundir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunDirectoryIsMadeOrNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := Make(dir); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Make(file); err == nil || !strings.Contains(err.Error(), "--run-dir") || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}
