// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesWhoseDirectoryIsMissingAreRefusedByTheirFlag(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, good := range map[string]bool{
		filepath.Join(dir, "subnet.env"):  true,
		filepath.Join(dir, "none", "env"): false,
		filepath.Join(file, "docker"):     false,
	} {
		err := CheckPlace(path, "--subnet-file")
		if good && err != nil || !good && (err == nil || !strings.Contains(err.Error(), "--subnet-file") || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}
