// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// TestLabRunsDocker runs containers on a host of the lab, by a dockerd with the
// options of a docker file. flanneld has no part in it yet.
func TestLabRunsDocker(t *testing.T) {
	t.Parallel()
	for _, release := range dockers(t) {
		t.Run(release.Name, func(t *testing.T) {
			t.Parallel()
			h := lab.New(t).Host()
			options := `DOCKER_OPTS=" --bip=10.244.7.1/24 --ip-masq=true --mtu=1472"`
			if err := os.WriteFile(filepath.Join(h.RunDir, "docker"), []byte(options), 0o644); err != nil {
				t.Fatal(err)
			}
			d := h.StartDocker(release)
			c := d.Container()
			if want := netip.MustParseAddr("10.244.7.2"); c.Addr != want {
				t.Errorf("the container got %v, want %v", c.Addr, want)
			}
			if out := c.Inside("ip", "link", "show", "eth0"); !strings.Contains(out, "mtu 1472") {
				t.Errorf("the container's device: %s", out)
			}
			c.Reachable(t, lab.OutsideAddress, 5*time.Second)
			d.Stop()
			d.Start()
		})
	}
}

// dockers are the versions of Docker to test with.
func dockers(t *testing.T) []lab.DockerRelease {
	releases := []lab.DockerRelease{lab.DockerInstalled(t)}
	if newer, ok := lab.DockerTesting(t); ok {
		releases = append(releases, newer)
	}
	return releases
}
