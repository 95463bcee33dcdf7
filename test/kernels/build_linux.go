// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// build fills dir with what the second disk has: this program, flanneld, the
// test programs of the steps with their test data, and the plan.
func build(dir string, steps []step) error {
	static := []string{"CGO_ENABLED=0", "GOARCH=amd64"}
	err := errors.Join(
		run(static, "go", "build", "-o", filepath.Join(dir, "kernels"), "./test/kernels"),
		run(static, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-X main.version=lab", "-o", filepath.Join(dir, "flanneld"), "./cmd/flanneld"))
	if err != nil {
		return err
	}
	built := map[string]bool{}
	for _, s := range steps {
		if built[s.Package] {
			continue
		}
		built[s.Package] = true
		home := filepath.Join(dir, "src", s.Package)
		if err := os.MkdirAll(home, 0o755); err != nil {
			return err
		}
		data := s.Reads
		if own := filepath.Join(s.Package, "testdata"); exists(own) {
			data = append(slices.Clone(data), own)
		}
		for _, each := range data {
			if err := os.CopyFS(filepath.Join(dir, "src", each), os.DirFS(each)); err != nil {
				return err
			}
		}
		if err := run(static, "go", "test", "-c", "-tags", "e2e", "-o", filepath.Join(dir, s.program()), "./"+s.Package); err != nil {
			return err
		}
	}
	plan, err := json.Marshal(steps)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, planFile), plan, 0o644)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// planFile is the name of the plan on the second disk.
const planFile = "plan.json"
