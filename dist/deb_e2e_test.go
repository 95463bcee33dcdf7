// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package dist

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/shortcut"
)

// packages builds the Debian package in two versions, for this machine, and
// puts them into a folder as old.deb and new.deb.
func packages(t *testing.T, dir string) {
	t.Helper()
	for name, version := range map[string]string{"old": "0.1.9", "new": "0.2.0"} {
		out := filepath.Join(dir, "release-"+name)
		release(t, out, version)
		file := filepath.Join(out, "flanneld_"+version+"-1_"+runtime.GOARCH+".deb")
		if err := os.Rename(file, filepath.Join(dir, name+".deb")); err != nil {
			t.Fatal(err)
		}
	}
}

// release builds a release for this machine alone.
func release(t *testing.T, out, version string) {
	t.Helper()
	output(t, "make", "--no-print-directory", "-C", "..", "release",
		"RELEASE_DIR="+out, "VERSION="+version, "ARCHITECTURES="+runtime.GOARCH)
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, errors.String())
	}
	return string(out)
}

// TestDebThroughItsLife needs root, debootstrap, and at the first run a mirror
// of Debian.
func TestDebThroughItsLife(t *testing.T) {
	dir := t.TempDir()
	packages(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "inside.sh"), []byte(read(t, "testdata/deb-inside.sh")), 0o755); err != nil {
		t.Fatal(err)
	}
	tree := strings.TrimSpace(output(t, "testdata/debian.sh"))
	start := time.Now()
	seen := boot(t, dir, "testdata/deb-boot.sh", dir, cgroup(t), tree)
	t.Logf("booted, installed, upgraded, removed and purged in %v", time.Since(start).Round(time.Second))

	expect := expectation(t, seen)
	dropIn := "/run/systemd/generator/docker.service.d/flanneld.conf"
	expect("a new host is configured before anything starts", "install", "0 0.1.9 inactive disabled")
	expect("the operator is told what to type", "advice", "systemctl enable --now flanneld")
	expect("Docker is left alone until then", "docker-unconfigured", "")
	expect("settings and the routes' name are conffiles, nothing else is", "conffiles", "/etc/default/flanneld /etc/iproute2/rt_protos.d/flanneld.conf")
	expect("manual page and completions are there", "files", "4")
	expect("the CNI plugin is where runtimes look", "cni", "/usr/bin/flanneld 1.1.0 /usr/share/flanneld/10-flanneld.conflist")
	expect("the daemon starts when it is enabled", "configured", "active enabled")
	expect("Docker gets its options with that", "docker-configured", dropIn)
	expect("an upgrade restarts the daemon", "upgrade", "0 /usr/bin/flanneld 0.2.0 active enabled")
	expect("an upgrade keeps device and lease", "upgrade-lease", seen["lease"])
	expect("an upgrade keeps settings", "upgrade-settings", "1")
	programs := "3"
	if _, old := shortcut.Probe(); old {
		programs = "0"
	}
	subnet, _, _ := strings.Cut(seen["lease"], " ")
	expect("the daemon has the short-cut", "programs", programs)
	expect("an upgrade keeps its programs", "before-higher", "0 "+programs)
	expect("a version that does not know them finds none", "before-lower", "0 0 active enabled "+seen["lease"])
	expect("the next start has them again", "programs-again", programs)
	expect("a downgrade keeps device and lease", "downgrade", "0 0.1.9 active enabled "+seen["lease"])
	expect("an upgrade brings them back", "programs-then", programs)
	expect("they go without a daemon, too", "before-lower-stopped", "0 0")
	expect("then the lease is kept", "lease-then", subnet)
	expect("an upgrade starts no stopped daemon", "stopped", "0 inactive enabled")
	expect("a removal stops the daemon", "remove", "0 not-found 0")
	expect("a removal leaves no device, rules or files", "remove-left", "")
	expect("a removal keeps identity and settings", "remove-kept", "/etc/default/flanneld /var/lib/flanneld/identity")
	expect("a removal gives Docker its own options again", "remove-docker", "")
	expect("what was enabled is enabled when it comes back", "again", "0 inactive enabled")
	expect("the host comes back as the same node", "again-subnet", subnet+" same identity")
	expect("a purge removes the package", "purge", "0 no packages found")
	expect("a purge says that the identity goes", "purge-said", "removing /var/lib/flanneld, this hosts identity and lease")
	expect("a purge leaves nothing", "purge-left", "")
	expect("inside.sh came to its end", "end", "here")
	if seen["lease"] == "" {
		t.Error("no lease")
	}
}

// TestDebAndTheRestAreReproducible builds the release twice and compares.
func TestDebAndTheRestAreReproducible(t *testing.T) {
	var sums [2]string
	for i := range sums {
		out := filepath.Join(t.TempDir(), "release")
		release(t, out, "0.2.0")
		sums[i] = read(t, filepath.Join(out, "SHA256SUMS"))
	}
	if n := strings.Count(sums[0], "\n"); n != 3 {
		t.Errorf("%d files, want a tarball, a package and an SBOM:\n%s", n, sums[0])
	}
	if sums[0] != sums[1] {
		t.Errorf("two runs differ:\n%s\n%s", sums[0], sums[1])
	}
}
