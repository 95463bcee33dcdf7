// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/host"
)

func TestFileIsWrittenAgainAndRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subnet.env")
	f := NewFile("subnet file", path)
	expect := func(when string, changed int) {
		t.Helper()
		if wrong, err := f.Check(t.Context()); err != nil || len(wrong) != changed {
			t.Errorf("%s: wrong %q, %v", when, wrong, err)
		}
		if changes, err := f.Ensure(t.Context()); err != nil || len(changes) != changed {
			t.Errorf("%s: changes %q, %v", when, changes, err)
		}
	}
	expect("content not known", 0)
	if len(f.Present()) > 0 {
		t.Error("written without content")
	}
	f.Want([]byte("A=1\n"))
	expect("new", 1)
	expect("in place", 0)
	if err := os.WriteFile(path, []byte("A=2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect("changed", 1)
	if got, err := os.ReadFile(path); err != nil || string(got) != "A=1\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if !slices.Equal(f.Present(), []string{path}) {
		t.Errorf("present: %q", f.Present())
	}
	f.Want(nil)
	for range 2 {
		if err := f.Remove(t.Context()); err != nil || len(f.Present()) > 0 {
			t.Errorf("remove: %v", err)
		}
	}
	expect("removed", 0)
}

// The advice for a file that cannot be written is about what is in its way.
func TestAdviceNamesWhatIsInAFilesPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subnet.env")
	f := NewFile("subnet file", path)
	f.Want([]byte("A=1\n"))
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := f.Ensure(t.Context())
	if all := host.Problems(err); len(all) != 1 || !strings.Contains(all[0].Advice, "mv "+path) {
		t.Fatalf("%+v", all)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Ensure(t.Context()); err != nil {
		t.Errorf("after the advice: %v", err)
	}
}
