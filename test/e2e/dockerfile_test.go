// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"flanneld/test/lab"
)

// TestDockerFileAndItsVariableAreSettings: docker.service of other
// distributions reads another file, and another variable.
func TestDockerFileAndItsVariableAreSettings(t *testing.T) {
	t.Parallel()
	l, h := founder(t)
	path := filepath.Join(h.RunDir, "docker-network")
	h.Daemon.Stop()
	h.Start("--docker-file", path, "--docker-key", "DOCKER_NETWORK_OPTIONS").WaitReady(ready)
	mentions(t, "the file", read(t, path), `DOCKER_NETWORK_OPTIONS=" --bip=`, `DOCKER_OPT_MTU="--mtu=1472"`)
	if containsFold(read(t, path), "DOCKER_OPTS") {
		t.Errorf("both variables are in it: %s", read(t, path))
	}
	mentions(t, "status", h.MustFlanneld("status"), path)
	h.Daemon.Stop()
	mentions(t, "cleanup", h.MustFlanneld("cleanup", "--docker-file", path), path)
	if exists(path) {
		t.Error("cleanup has left it")
	}
	refused(t, l.Host(), 1, []string{"--docker-file", "/proc/none/docker"}, "/proc/none/docker", "--docker-file")
}

// TestDockerFileThatCannotBeWrittenIsNamed: its disk is full, or read-only.
func TestDockerFileThatCannotBeWrittenIsNamed(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	place := filepath.Join(l.Dir(), "place")
	h.Exec(t, "mkdir", place)
	for name, c := range map[string]struct{ mount, word string }{
		"full":      {"mount -t tmpfs -o size=4k none %[1]s && (dd if=/dev/zero of=%[1]s/x status=none; true)", "make room"},
		"read-only": {"mount -t tmpfs -o ro none %[1]s", "make it writable"},
	} {
		h.Exec(t, "sh", "-c", fmt.Sprintf(c.mount, place))
		d := h.Start("--docker-file", filepath.Join(place, "docker"))
		if status := d.WaitEnd(ready); status != 1 {
			t.Errorf("%s: exit status %d", name, status)
		}
		clearError(t, d.Log(), filepath.Join(place, "docker"), c.word, "--docker-file")
		if exists(filepath.Join(place, "docker")) {
			t.Errorf("%s: half a file exists", name)
		}
		h.Exec(t, "umount", place)
	}
	h.Start("--docker-file", filepath.Join(place, "docker")).WaitReady(ready)
}
