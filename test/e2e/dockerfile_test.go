//go:build e2e

package e2e

import (
	"path/filepath"
	"testing"
)

// TestDockerFileAndItsVariableAreSettings: docker.service of other distributions
// reads another file, and another variable.
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
