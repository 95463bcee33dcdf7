// SPDX-License-Identifier: Apache-2.0

package rundir

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRunDirectoryIsMadeAgainAndStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	p := NewPart(dir)
	for _, want := range []int{1, 0} {
		if wrong, err := p.Check(t.Context()); err != nil || len(wrong) != want {
			t.Errorf("wrong %q, %v", wrong, err)
		}
		if changes, err := p.Ensure(t.Context()); err != nil || len(changes) != want {
			t.Errorf("changes %q, %v", changes, err)
		}
	}
	if err := p.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ensure(t.Context()); err == nil {
		t.Error("a file was taken as the directory")
	}
	if wrong, err := p.Check(t.Context()); err != nil || len(wrong) != 1 {
		t.Errorf("of a file: %q, %v", wrong, err)
	}
}
