// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"flanneld/test/lab"
)

// TestDocker runs the whole of what is promised with each version of Docker,
// on two hosts with their own dockerd, started from the docker file.
func TestDocker(t *testing.T) {
	t.Parallel()
	for _, release := range dockers(t) {
		t.Run(release.Name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			h1, h2, h3 := l.Trio()
			s := &dockerScenario{l: l, h1: h1, h2: h2, h3: h3}
			s.d1, s.d2 = h1.StartDocker(release), h2.StartDocker(release)
			s.c1, s.c2 = s.d1.Container(), s.d2.Container("--publish", "8080:80")
			s.recovered(t, "after dockerd was started")
			s.shortcut()
			t.Run("containers reach each other by their own addresses", s.containers)
			t.Run("hosts reach remote containers and the other way round", s.hosts)
			t.Run("100 MB arrive as they were sent, both ways", s.large)
			s.recovered(t, "after dockerd was started")
			t.Run("containers reach the outside", s.outside)
			t.Run("published ports work from another host", s.published)
			t.Run("containers of a network beside the lease reach others", s.beside)
			t.Run("recovers from a flush of the firewall", s.flush)
			t.Run("recovers from a restart of dockerd", s.restart)
			t.Run("recovers from a restart of flanneld", s.flanneld)
		})
	}
}

// TestDockerOverKernelPaths runs it where the kernel carries packets between
// hosts. Docker 28 drops what does not come by the bridge.
func TestDockerOverKernelPaths(t *testing.T) {
	t.Parallel()
	releases := dockers(t)
	release := releases[len(releases)-1]
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			s := &dockerScenario{l: l, args: []string{"--backend", backend}}
			s.h1, s.h2, s.h3 = l.Trio(s.args...)
			kernelCarries(t, backend, s.h1, s.h2, s.h3)
			s.d1, s.d2 = s.h1.StartDocker(release), s.h2.StartDocker(release)
			s.c1, s.c2 = s.d1.Container(), s.d2.Container("--publish", "8080:80")
			s.recovered(t, "after dockerd was started")
			before := carried(t, s.h1)
			t.Run("containers reach each other by their own addresses", s.containers)
			t.Run("hosts reach remote containers and the other way round", s.hosts)
			t.Run("containers reach the outside", s.outside)
			t.Run("published ports work from another host", s.published)
			t.Run("containers of a network beside the lease reach others", s.beside)
			if grown := carried(t, s.h1) - before; grown > 50 {
				t.Errorf("flanneld carried %d packets itself", grown)
			}
			t.Run("recovers from a flush of the firewall", s.flush)
			t.Run("recovers from a restart of dockerd", s.restart)
			t.Run("recovers from a restart of flanneld", s.flanneld)
			kernelCarries(t, backend, s.h1, s.h2, s.h3)
		})
	}
}

type dockerScenario struct {
	args       []string // of flanneld
	l          *lab.Lab
	h1, h2, h3 *lab.Host
	d1, d2     *lab.Docker
	c1, c2     *lab.Container
}

func (s *dockerScenario) containers(t *testing.T) {
	if !s.h1.Lease().Contains(s.c1.Addr) || !s.h2.Lease().Contains(s.c2.Addr) {
		t.Fatalf("containers %v and %v are not in the leases %v and %v", s.c1.Addr, s.c2.Addr, s.h1.Lease(), s.h2.Lease())
	}
	for _, way := range []struct{ from, to *lab.Container }{{s.c1, s.c2}, {s.c2, s.c1}} {
		way.from.Reachable(t, way.to.Addr, 10*time.Second)
		mentions(t, "ping in the container", way.from.Inside("ping", "-c", "2", "-W", "2", way.to.Addr.String()), "2 packets received")
		if got := lab.SendTCP(t, way.from.Namespace, way.to.Namespace, at(way.to.Addr, 7000), 1<<20); got.Source != way.from.Addr {
			t.Errorf("TCP: %v arrived as %v", way.from.Addr, got.Source)
		}
		if got := lab.SendUDP(t, way.from.Namespace, way.to.Namespace, at(way.to.Addr, 7000), 50, 1400); got.Source != way.from.Addr {
			t.Errorf("UDP: %v arrived as %v", way.from.Addr, got.Source)
		}
		lab.SendUDP(t, way.from.Namespace, way.to.Namespace, at(way.to.Addr, 7000), 5, 8000)
	}
}

func (s *dockerScenario) hosts(t *testing.T) {
	for _, h := range []*lab.Host{s.h1, s.h3} {
		h.Reachable(t, s.c2.Addr, 5*time.Second)
		lab.SendTCP(t, h.Namespace, s.c2.Namespace, at(s.c2.Addr, 7000), 1<<20)
	}
	s.c2.Reachable(t, s.h1.Lease().Addr(), 5*time.Second)
	s.c2.Reachable(t, s.h1.Addr, 5*time.Second)
	if got := lab.SendTCP(t, s.c2.Namespace, s.h1.Namespace, at(s.h1.Lease().Addr(), 7000), 1<<20); got.Source != s.c2.Addr {
		t.Errorf("%v arrived at host1 as %v", s.c2.Addr, got.Source)
	}
}

func (s *dockerScenario) large(t *testing.T) {
	const size = 100 << 20
	for _, way := range []struct {
		host     *lab.Host
		from, to *lab.Container
	}{{s.h1, s.c1, s.c2}, {s.h2, s.c2, s.c1}} {
		kernel, all := kernelCarried(way.host)
		got := lab.SendTCP(t, way.from.Namespace, way.to.Namespace, at(way.to.Addr, 7000), size)
		now, sum := kernelCarried(way.host)
		t.Logf("100 MB in %v, %d bytes of %d by the kernel", got.Time.Round(time.Millisecond), now.Bytes-kernel.Bytes, sum.Bytes-all.Bytes)
		if lab.ShortcutByDefault() && now.Bytes-kernel.Bytes < size {
			t.Errorf("the kernel carried %d bytes of %d", now.Bytes-kernel.Bytes, size)
		}
	}
}

func (s *dockerScenario) outside(t *testing.T) {
	s.c1.Reachable(t, lab.OutsideAddress, 5*time.Second)
	if got := lab.SendTCP(t, s.c1.Namespace, s.l.Outside, at(lab.OutsideAddress, 80), 1<<20); got.Source != s.h1.Addr {
		t.Errorf("the outside saw %v, want %v", got.Source, s.h1.Addr)
	}
}

func (s *dockerScenario) beside(t *testing.T) {
	s.d1.Docker("network", "create", "beside")
	c := s.d1.ContainerOn("beside")
	c.Reachable(t, s.c2.Addr, 10*time.Second)
	if got := lab.SendTCP(t, c.Namespace, s.c2.Namespace, at(s.c2.Addr, 7000), 1<<20); got.Source != s.h1.Lease().Addr() {
		t.Errorf("%v arrived as %v, want the first address of %v", c.Addr, got.Source, s.h1.Lease())
	}
}

func (s *dockerScenario) published(t *testing.T) {
	dial := at(s.h2.Addr, 8080)
	lab.SendTCPVia(t, s.h3.Namespace, s.c2.Namespace, dial, at(s.c2.Addr, 80), 1<<20)
	lab.SendTCPVia(t, s.l.Outside, s.c2.Namespace, dial, at(s.c2.Addr, 80), 1<<20)
	lab.SendTCPVia(t, s.c1.Namespace, s.c2.Namespace, dial, at(s.c2.Addr, 80), 1<<20)
	// Through the overlay, at the bridge's address.
	bridge := at(s.h2.Lease().Addr().Next(), 8080)
	if got := lab.SendTCPVia(t, s.c1.Namespace, s.c2.Namespace, bridge, at(s.c2.Addr, 80), 16<<20); got.Source != s.c1.Addr {
		t.Errorf("%v arrived at the published port as %v", s.c1.Addr, got.Source)
	}
}

// shortcut waits until the kernel carries packets between the hosts, unless the
// whole suite is to run otherwise.
func (s *dockerScenario) shortcut() {
	if lab.ShortcutByDefault() {
		lab.WaitShortcuts(proven, s.l.Hosts()...)
	}
}

func (s *dockerScenario) flush(t *testing.T) {
	for _, flush := range []string{"iptables -F", "iptables -t raw -F", "iptables -t nat -F"} {
		s.h2.Exec(t, "sh", "-c", flush)
		start := time.Now()
		s.recovered(t, "after "+flush)
		t.Logf("%s: back after %v", flush, time.Since(start).Round(100*time.Millisecond))
	}
}

// recovered waits for at most the promised 10 s until containers reach each
// other again both ways, by new connections and by their own addresses.
func (s *dockerScenario) recovered(t *testing.T, when string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, way := range []struct{ from, to *lab.Container }{{s.c1, s.c2}, {s.c2, s.c1}} {
		lab.Eventually(t, time.Until(deadline), "containers to reach each other "+when, func() error {
			a := way.from.Ping(t, lab.Echo{To: way.to.Addr, Wait: 300 * time.Millisecond})
			return lab.Expect(a.Type == ipv4.ICMPTypeEchoReply && a.From == way.to.Addr, "%v", a)
		})
		lab.Eventually(t, time.Until(deadline), "own addresses "+when, func() error {
			got := lab.SendTCP(t, way.from.Namespace, way.to.Namespace, at(way.to.Addr, 7000), 1000)
			return lab.Expect(got.Source == way.from.Addr, "%v arrived as %v", way.from.Addr, got.Source)
		})
	}
}

func (s *dockerScenario) restart(t *testing.T) {
	s.d2.Stop()
	s.d2.Start()
	s.c2 = s.d2.Container("--publish", "8080:80")
	s.recovered(t, "after dockerd was restarted")
	// Whatever rules dockerd makes, flanneld's accepting rules come first.
	lab.Eventually(t, 10*time.Second, "flanneld's rules to be first", func() error {
		for _, chain := range []string{"raw PREROUTING", "filter DOCKER-USER"} {
			table, name, _ := strings.Cut(chain, " ")
			var first string
			for line := range strings.Lines(s.h2.Exec(t, "iptables", "-w", "-t", table, "-S", name)) {
				if strings.HasPrefix(line, "-A") {
					first = line
					break
				}
			}
			if !strings.Contains(first, "FLANNELD") {
				return lab.Expect(false, "first in %s is %q", chain, first)
			}
		}
		return nil
	})
	s.published(t)
	s.outside(t)
}

func (s *dockerScenario) flanneld(t *testing.T) {
	s.h2.Daemon.Kill()
	s.h2.Start(append([]string{"--join", s.h1.Addr.String()}, s.args...)...).WaitReady(ready)
	s.recovered(t, "after flanneld was killed")
}

// TestDockerLeavesMasqueradingToFlanneld with --ip-masq.
func TestDockerLeavesMasqueradingToFlanneld(t *testing.T) {
	t.Parallel()
	for _, release := range dockers(t) {
		t.Run(release.Name, func(t *testing.T) {
			t.Parallel()
			l, h1 := founder(t, "--ip-masq")
			h2 := l.Host()
			h2.Start("--ip-masq", "--join", h1.Addr.String()).WaitReady(ready)
			l.WaitConverged(2)
			s := &dockerScenario{l: l, h1: h1, h2: h2}
			s.d1, s.d2 = h1.StartDocker(release), h2.StartDocker(release)
			s.c1, s.c2 = s.d1.Container(), s.d2.Container()
			mentions(t, "DOCKER_OPTS", h1.DockerOptions(), "--ip-masq=false")
			s.recovered(t, "after dockerd was started")
			s.shortcut()
			s.containers(t)
			s.outside(t)
		})
	}
}
