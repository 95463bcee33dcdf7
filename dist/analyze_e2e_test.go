// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// installed writes unit and drop-in into a directory as make install does,
// with a program to start and a docker.service to drop in to.
func installed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []struct {
		name, content string
		mode          os.FileMode
	}{
		{"bin/flanneld", "#!/bin/sh\n", 0o755},
		{"flanneld.service", unit(t, filepath.Join(dir, "bin")), 0o644},
		{"docker.service", "[Service]\nType=notify\nExecStart=/bin/false\n", 0o644},
		{"docker.service.d/flanneld.conf", read(t, "docker-flanneld.conf"), 0o644},
	} {
		path := filepath.Join(dir, file.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(file.content), file.mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSystemdAcceptsTheUnits(t *testing.T) {
	dir := installed(t)
	for _, name := range []string{"flanneld.service", "docker.service"} {
		cmd := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", filepath.Join(dir, name))
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestUnitIsSandboxed(t *testing.T) {
	// The threshold is in tenths: an exposure level of at most 2.5.
	cmd := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager",
		filepath.Join(installed(t), "flanneld.service"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
