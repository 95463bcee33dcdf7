// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheProgramAndItsConfigurationAreInstalledWhole(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	program, conf := filepath.Join(from, "flanneld"), filepath.Join(from, "10-flanneld.conflist")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list := `{"name": "flanneld", "plugins": [{"type": "flanneld-cni"}]}`
	for _, version := range []string{"one", "two"} { // the second replaces the first
		write(program, version)
		write(conf, list+strings.Repeat(" ", len(version)))
		bin, err := InstallProgram(program, to)
		if err != nil {
			t.Fatal(err)
		}
		list, err := InstallConf(conf, to)
		if err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]os.FileMode{bin: 0o755, list: 0o644} {
			if info, err := os.Stat(path); err != nil || info.Mode() != mode {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
		if text, err := os.ReadFile(filepath.Join(to, ProgramName)); err != nil || string(text) != version {
			t.Errorf("%q, %v", text, err)
		}
	}
	if left, err := os.ReadDir(to); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
	for _, bad := range []string{"", "{", `{"name": "x"}`, `{"name": "x", "type": "bridge"}`, `{"plugins": [{"type": "bridge"}]}`, `[]`} {
		write(conf, bad)
		if _, err := InstallConf(conf, to); err == nil || !strings.Contains(err.Error(), conf) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(to, "10-flanneld.conflist")); err != nil || !strings.HasPrefix(string(text), list) {
		t.Errorf("a bad one has replaced it: %q, %v", text, err)
	}
	if _, err := InstallProgram(program, filepath.Join(to, "none")); err == nil {
		t.Error("no error without the directory")
	}
}
