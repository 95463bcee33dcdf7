// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("make", append([]string{"--no-print-directory", "-s"}, args...)...)
	cmd.Dir = moduleRoot(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// files lists what is below a directory, as paths relative to it.
func files(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			list = append(list, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestInstallHonoursDestdirAndPrefixAndUninstallTakesItBack(t *testing.T) {
	dir := t.TempDir()
	run(t, "install", "DESTDIR="+dir, "PREFIX=/opt/here")
	got := strings.Join(files(t, dir), "\n")
	for _, want := range []string{"/opt/here/bin/flanneld", "/opt/here/lib/systemd/system/flanneld.service",
		"/opt/here/lib/systemd/system/docker.service.d/flanneld.conf", "/etc/default/flanneld", "/etc/iproute2/rt_protos.d/flanneld.conf",
		"/opt/here/share/man/man8/flanneld.8", "/opt/here/share/man/man8/flanneld-run.8",
		"/opt/here/share/bash-completion/completions/flanneld", "/opt/here/share/zsh/site-functions/_flanneld",
		"/opt/here/share/fish/vendor_completions.d/flanneld.fish",
		"/opt/cni/bin/flanneld-cni", "/opt/here/share/flanneld/10-flanneld.conflist",
		"/opt/here/share/flanneld/prometheus/flanneld.rules.yml"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s among\n%s", want, got)
		}
	}
	unit, err := os.ReadFile(filepath.Join(dir, "/opt/here/lib/systemd/system/flanneld.service"))
	if err != nil || !strings.Contains(string(unit), "ExecStart=/opt/here/bin/flanneld run") || strings.Contains(string(unit), "DIR@") {
		t.Errorf("the unit does not start what was installed: %v\n%s", err, unit)
	}
	out, err := exec.Command(filepath.Join(dir, "/opt/here/bin/flanneld"), "version").CombinedOutput()
	if err != nil || strings.Contains(string(out), "flanneld dev") {
		t.Errorf("flanneld version: %v %s", err, out)
	}
	if link, err := os.Readlink(filepath.Join(dir, "/opt/cni/bin/flanneld-cni")); err != nil || link != "/opt/here/bin/flanneld" {
		t.Errorf("the CNI plugin is %s, %v", link, err)
	}
	// Changed settings survive both.
	settings := filepath.Join(dir, "/etc/default/flanneld")
	if err := os.WriteFile(settings, []byte("FLANNELD_MTU=1400\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "install", "DESTDIR="+dir, "PREFIX=/opt/here")
	run(t, "uninstall", "DESTDIR="+dir, "PREFIX=/opt/here")
	if left := files(t, dir); len(left) != 1 || left[0] != "/etc/default/flanneld" {
		t.Errorf("uninstall left %v", left)
	}
	if data, err := os.ReadFile(settings); err != nil || string(data) != "FLANNELD_MTU=1400\n" {
		t.Errorf("settings became %q, %v", data, err)
	}
}

func TestMakeAloneListsItsTargets(t *testing.T) {
	out := run(t)
	for _, target := range []string{"help", "build", "check", "lint", "deps", "demo", "test", "bench", "soak", "fuzz", "release", "deb-test", "install", "uninstall", "clean"} {
		if !strings.Contains(out, "\n  "+target) {
			t.Errorf("make does not list %s:\n%s", target, out)
		}
	}
	for line := range strings.Lines(out) {
		if columns(strings.TrimSuffix(line, "\n")) > markdownWidth {
			t.Errorf("a line too wide for a terminal: %s", line)
		}
	}
}
