// SPDX-License-Identifier: Apache-2.0

//go:build e2e && docker29

package e2e

import (
	"testing"
	"time"

	"flanneld/test/lab"
)

// TestDockerWithNFTables: Docker 29 with its nftables backend drops and
// masquerades in tables of its own, and has no DOCKER-USER.
func TestDockerWithNFTables(t *testing.T) {
	release := lab.DockerNFTables(t)
	for _, backend := range append([]string{"udp"}, backends...) {
		t.Run(backend, func(t *testing.T) {
			l := lab.New(t)
			s := &dockerScenario{l: l, args: []string{"--backend", backend}}
			s.h1, s.h2, s.h3 = l.Trio(s.args...)
			kernelCarries(t, backend, s.h1, s.h2, s.h3)
			p1, p2 := s.h1.Pod(), s.h2.Pod()
			calls := call(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 4)
			s.d1, s.d2 = s.h1.StartDocker(release), s.h2.StartDocker(release)
			s.d1.Stop()
			s.d1.Start()
			calls.stop()
			if kept, others := calls.seen(p1.Addr); others > 0 || kept < 100 {
				t.Errorf("while dockerd started, %d of %d connections arrived with another source", others, kept+others)
			}
			s.c1, s.c2 = s.d1.Container(), s.d2.Container("--publish", "8080:80")
			s.recovered(t, "after dockerd was started")
			mentions(t, "Docker's table", s.h1.Exec(t, "nft", "list", "table", "ip", "docker-bridges"), "masquerade", "drop")
			t.Run("containers reach each other by their own addresses", s.containers)
			t.Run("hosts reach remote containers and the other way round", s.hosts)
			t.Run("containers reach the outside", s.outside)
			t.Run("published ports work from another host", s.published)
			s.h2.Exec(t, "nft", "flush", "ruleset")
			s.d2.Stop()
			s.d2.Start()
			s.c2 = s.d2.Container("--publish", "8080:80")
			s.recovered(t, "after a flush of all rules and a restart of dockerd")
			t.Run("recovers from a restart of flanneld", s.flanneld)
			s.c1.Reachable(t, s.c2.Addr, 5*time.Second)
		})
	}
}
