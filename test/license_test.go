// SPDX-License-Identifier: Apache-2.0

package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const spdx = "// SPDX-License-Identifier: Apache-2.0\n"

// generated is how a generator marks what it wrote.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// TestEverySourceFileNamesItsLicense holds the first line of each Go and
// assembler file. Generated files have the license of their generator's input.
func TestEverySourceFileNamesItsLicense(t *testing.T) {
	root := moduleRoot(t)
	license, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil || !strings.Contains(string(license), "Apache License\n") || !strings.Contains(string(license), "Version 2.0") {
		t.Errorf("LICENSE is not the Apache License 2.0: %v", err)
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if err == nil && (entry.Name() == ".git" || entry.Name() == "bin") {
				return filepath.SkipDir
			}
			return err
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".s" {
			return nil
		}
		source, err := os.ReadFile(path)
		if err == nil && !strings.HasPrefix(string(source), spdx) && !generated.Match(source) {
			t.Errorf("%s does not begin with %q", strings.TrimPrefix(path, root+"/"), strings.TrimSpace(spdx))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
