// SPDX-License-Identifier: Apache-2.0

//go:build e2e && containers

package containers

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

func init() { preparations = append(preparations, lab.FetchCompose) }

// project is a compose file: a web server with a published port, and a second
// service that finds it by its name.
func project(name string, port int) string {
	return fmt.Sprintf(`version: "2.4"
services:
  web:
    image: lab
    command: ["/bin/sh", "-c", "mkdir -p /www; echo %s > /www/index.html; exec /bin/httpd -f -p 80 -h /www"]
    stop_signal: KILL
    restart: always
    ports: ["%d:80"]
  db:
    image: lab
    command: ["/bin/sleep", "100000"]
    stop_signal: KILL
    restart: always
`, name, port)
}

// projects are the projects, with the ports that they publish.
var projects = map[string]int{"shop": 8081, "blog": 8082}

// composeHost is a host with both projects.
type composeHost struct {
	*lab.Host
	docker *lab.Docker
	shop   service
	blog   service
}

// service is the containers of a project on one host.
type service struct{ web, db *lab.Container }

// TestComposeProjectsOnThreeHosts: daemon.json has what flanneld prints, so
// that compose makes its networks from the lease. Nothing in the compose files
// speaks of flanneld.
func TestComposeProjectsOnThreeHosts(t *testing.T) {
	for _, release := range dockers(t) {
		t.Run(release.Name, func(t *testing.T) {
			l := lab.New(t)
			var hosts []*composeHost
			for i := range 3 {
				h := &composeHost{Host: l.Host()}
				args := []string{"--docker-part", "1/8", "--docker-config", h.DockerConfig()}
				if i > 0 {
					args = append(args, "--join", hosts[0].Addr.String())
				}
				h.Start(args...).WaitReady(ready)
				h.docker = h.StartDocker(release)
				h.takePools(t, `"live-restore": false`)
				h.up(t)
				hosts = append(hosts, h)
			}
			l.WaitConverged(3)
			t.Log(hosts[0].docker.ComposeVersion())
			s := &composeScenario{l: l, release: release, a: hosts[0], b: hosts[1], c: hosts[2]}
			t.Run("containers have addresses of the lease", s.addresses)
			t.Run("services reach each other across hosts", s.across)
			t.Run("projects of one host are isolated", s.isolation)
			t.Run("published ports", s.published)
			t.Run("dockerd is restarted, and the containers with it", s.restart)
			t.Run("dockerd is down, and the containers run on", s.liveRestore)
			t.Run("the lease changes", s.leaseChange)
			t.Run("a network of flanneld as an external one", s.external)
		})
	}
}

// takePools puts what flanneld prints into daemon.json, with a setting of the
// operator's, and restarts dockerd.
func (h *composeHost) takePools(t *testing.T, more string) {
	t.Helper()
	fragment := h.docker.MustFlanneld("docker-opts", "--json")
	content := "{\n  " + more + "," + strings.TrimPrefix(fragment, "{")
	if err := os.WriteFile(h.DockerConfig(), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	h.docker.Stop()
	h.docker.Start()
}

// up starts both projects, and finds their containers.
func (h *composeHost) up(t *testing.T) {
	t.Helper()
	for name, port := range projects {
		h.docker.Compose(name, project(name, port), "up", "--detach")
	}
	h.find(t)
}

// find steps into the containers that run now.
func (h *composeHost) find(t *testing.T) {
	t.Helper()
	open := func(project, name string) *lab.Container {
		return h.docker.Open(h.docker.ComposeContainer(project, name), project+"_default")
	}
	h.shop = service{open("shop", "web"), open("shop", "db")}
	h.blog = service{open("blog", "web"), open("blog", "db")}
}

type composeScenario struct {
	l       *lab.Lab
	release lab.DockerRelease
	a, b, c *composeHost
}

func (s *composeScenario) hosts() []*composeHost { return []*composeHost{s.a, s.b, s.c} }

func (s *composeScenario) addresses(t *testing.T) {
	for _, h := range s.hosts() {
		subnets := map[netip.Prefix]bool{}
		for _, c := range []*lab.Container{h.shop.web, h.shop.db, h.blog.web, h.blog.db} {
			subnet := netip.PrefixFrom(c.Addr, 27).Masked()
			if subnets[subnet] = true; !h.Lease().Contains(c.Addr) || subnet.Addr() == h.Lease().Addr() {
				t.Errorf("%s: %s is not in what docker0 leaves of the lease %s", h.NodeName, c.Addr, h.Lease())
			}
		}
		if len(subnets) != 2 {
			t.Errorf("%s: the projects have %v", h.NodeName, subnets)
		}
		says(t, "show", h.docker.MustFlanneld("docker", "network", "show"), "shop_default", "blog_default", "free")
		// Only an engine that knows default-network-opts gives them an MTU.
		if options := h.options(t, "shop_default"); options["com.docker.network.bridge.gateway_mode_ipv4"] != "" &&
			(options["com.docker.network.bridge.gateway_mode_ipv4"] != "nat-unprotected" || options["com.docker.network.driver.mtu"] != "1472") {
			t.Errorf("%s: options %v", h.NodeName, options)
		} else if s.release.Name == "testing" && len(options) == 0 {
			t.Errorf("%s: default-network-opts has no effect", h.NodeName)
		}
	}
}

// options are those of a network, as Docker shows them.
func (h *composeHost) options(t *testing.T, network string) (options map[string]string) {
	t.Helper()
	if err := json.Unmarshal([]byte(h.docker.Docker("network", "inspect", "--format", "{{json .Options}}", network)), &options); err != nil {
		t.Fatal(err)
	}
	return options
}

func (s *composeScenario) across(t *testing.T) {
	reach(t, "in a project", s.a.shop.db, s.b.shop.web)
	reach(t, "in a project", s.c.shop.db, s.a.shop.web)
	reach(t, "in another", s.a.blog.web, s.c.blog.db)
	// Isolation is the matter of one Docker: another host's containers get in.
	reach(t, "in two projects", s.a.blog.db, s.b.shop.web)
	says(t, "by HTTP", s.a.shop.db.Inside("wget", "-q", "-O", "-", "http://"+s.b.shop.web.Addr.String()), "shop")
	got := lab.SendTCP(t, s.a.shop.db.Namespace, s.b.shop.web.Namespace, at(s.b.shop.web.Addr, 7000), 20<<20)
	t.Logf("20 MB in %v", got.Time.Round(time.Millisecond))
	for _, h := range s.hosts() {
		s.a.Reachable(t, h.shop.web.Addr, 5*time.Second)
	}
}

func (s *composeScenario) isolation(t *testing.T) {
	for _, h := range s.hosts() {
		isolated(t, h.shop.db, h.blog.web)
		isolated(t, h.blog.db, h.shop.web)
		// Docker's name service, in the project of the host alone.
		says(t, "by name", h.shop.db.Inside("wget", "-q", "-O", "-", "http://web"), "shop")
		says(t, "by name", h.blog.db.Inside("wget", "-q", "-O", "-", "http://web"), "blog")
	}
}

func (s *composeScenario) published(t *testing.T) {
	for name, port := range projects {
		url := fmt.Sprintf("http://%s:%d", s.b.Addr, port)
		says(t, "from another host", s.a.Exec(t, "busybox", "wget", "-q", "-O", "-", url), name)
		says(t, "from outside", s.l.Outside.Exec(t, "busybox", "wget", "-q", "-O", "-", url), name)
		says(t, "from a container", s.c.shop.db.Inside("wget", "-q", "-O", "-", url), name)
	}
	if got := lab.SendTCP(t, s.a.shop.db.Namespace, s.l.Outside, at(lab.OutsideAddress, 80), 1000); got.Source != s.a.Addr {
		t.Errorf("the outside saw %v, want %v", got.Source, s.a.Addr)
	}
}

func (s *composeScenario) liveRestore(t *testing.T) {
	s.b.takePools(t, `"live-restore": true`)
	s.b.running(t)
	s.b.docker.Stop()
	reach(t, "while dockerd is down", s.a.shop.db, s.b.shop.web)
	reach(t, "while dockerd is down", s.c.blog.db, s.b.blog.web)
	s.b.docker.Start()
	before := s.b.shop.web.Addr
	s.b.find(t)
	if s.b.shop.web.Addr != before {
		t.Errorf("%s became %s", before, s.b.shop.web.Addr)
	}
	reach(t, "after dockerd is back", s.a.shop.db, s.b.shop.web)
	isolated(t, s.b.shop.db, s.b.blog.web)
	s.published(t)
}

func (s *composeScenario) restart(t *testing.T) {
	s.b.docker.Stop()
	s.b.docker.Start()
	s.b.running(t)
	reach(t, "after a restart of dockerd", s.a.shop.db, s.b.shop.web)
	reach(t, "after a restart of dockerd", s.c.blog.db, s.b.blog.web)
	s.published(t)
}

// running waits until all containers run again, and finds them.
func (h *composeHost) running(t *testing.T) {
	t.Helper()
	var before string
	lab.Eventually(t, 30*time.Second, "all containers to run again", func() error {
		time.Sleep(time.Second)
		started := ""
		ids := strings.Fields(h.docker.Docker("ps", "--quiet"))
		if len(ids) > 0 {
			started = h.docker.Docker(append([]string{"inspect", "--format", "{{.Name}} {{.State.StartedAt}}"}, ids...)...)
		}
		was := before
		before = started
		return lab.Expect(len(ids) == 4 && started == was, "%s", started)
	})
	h.find(t)
}

// free is a subnet that no host holds.
func (s *composeScenario) free() netip.Prefix {
	for n := byte(77); ; n++ {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, n, 0}), 24)
		if !slices.ContainsFunc(s.hosts(), func(h *composeHost) bool { return h.Lease() == p }) {
			return p
		}
	}
}

// leaseChange gives a host another subnet. Its networks are named, with what to
// type, and so is daemon.json. What is typed helps.
func (s *composeScenario) leaseChange(t *testing.T) {
	pin := s.free()
	s.c.Daemon.Stop()
	s.c.MustFlanneld("cleanup")
	if err := os.RemoveAll(s.c.StateDir); err != nil {
		t.Fatal(err)
	}
	s.c.Start("--docker-part", "1/8", "--docker-config", s.c.DockerConfig(), "--subnet", pin.String(), "--join", s.a.Addr.String()).WaitReady(ready)
	if s.c.Lease() != pin {
		t.Fatalf("the lease is %s, want %s", s.c.Lease(), pin)
	}
	outside := fmt.Sprintf("not in the lease %s", pin)
	lab.Eventually(t, 10*time.Second, "the networks to be named", func() error {
		text := fmt.Sprintf("%+v", s.c.Status().Problems)
		for _, word := range []string{"docker0 has ", "systemctl restart docker", "br-", outside, "docker compose down",
			"daemon.json", "default-address-pools has ", "flanneld docker-opts --json"} {
			if !strings.Contains(text, word) {
				return fmt.Errorf("no %q in %s", word, text)
			}
		}
		return nil
	})
	if r := s.c.docker.Flanneld("docker", "network", "show"); r.Status != 1 {
		t.Errorf("show: exit status %d\n%s%s", r.Status, r.Stdout, r.Stderr)
	} else {
		says(t, "show", r.Stdout, "shop_default", "is "+outside)
	}
	for name, port := range projects {
		s.c.docker.Compose(name, project(name, port), "down")
	}
	s.c.takePools(t, `"log-level": "warn"`)
	s.c.up(t)
	reach(t, "after the lease changed", s.a.shop.db, s.c.shop.web)
	reach(t, "after the lease changed", s.b.blog.web, s.c.blog.db)
	lab.Eventually(t, 10*time.Second, "no problem", func() error {
		found := s.c.Status().Problems
		return lab.Expect(len(found) == 0, "%+v", found)
	})
}

// external is a compose file that names a network made by flanneld.
func (s *composeScenario) external(t *testing.T) {
	file := `version: "2.4"
services:
  api:
    image: lab
    command: ["/bin/sleep", "100000"]
    stop_signal: KILL
networks:
  default:
    external: true
    name: flannel
`
	var containers []*lab.Container
	for _, h := range []*composeHost{s.a, s.b} {
		says(t, "create", h.docker.MustFlanneld("docker", "network", "create", "--part", "4/4"), "network flannel was made", "part 4/4")
		h.docker.Compose("api", file, "up", "--detach")
		containers = append(containers, h.docker.Open(h.docker.ComposeContainer("api", "api"), "flannel"))
	}
	reach(t, "on a network of flanneld", containers[0], containers[1])
	reach(t, "from a project's own network", s.a.shop.web, containers[1])
	isolated(t, s.a.shop.web, containers[0])
	refuses(t, "create", s.a.docker.Flanneld("docker", "network", "create", "--part", "8/8"), 1, "containers are in the way", "docker compose down")
	s.a.docker.Compose("api", file, "down")
	says(t, "create", s.a.docker.MustFlanneld("docker", "network", "create", "--part", "8/8"), "was made anew", "part 8/8")
}
