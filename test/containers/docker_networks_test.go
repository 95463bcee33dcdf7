// SPDX-License-Identifier: Apache-2.0

//go:build e2e && containers

package containers

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"flanneld/test/lab"
)

// TestDockerNetworkOnTheWholeLease: docker0 is elsewhere, and a network has all
// of the lease. flanneld masquerades, and Docker does not.
func TestDockerNetworkOnTheWholeLease(t *testing.T) {
	for _, release := range dockers(t) {
		t.Run(release.Name, func(t *testing.T) {
			l := lab.New(t)
			h1, h2 := l.Host(), l.Host()
			h1.Start("--docker-part", "none", "--ip-masq").WaitReady(ready)
			h2.Start("--docker-part", "none", "--ip-masq", "--join", h1.Addr.String()).WaitReady(ready)
			l.WaitConverged(2)
			d1, d2 := h1.StartDocker(release), h2.StartDocker(release)
			for _, d := range []*lab.Docker{d1, d2} {
				says(t, "create", d.MustFlanneld("docker", "network", "create", "overlay", "--bridge", "over0"), "network overlay was made", "part 1/1", "over0")
				says(t, "show", d.MustFlanneld("docker", "network", "show"), "overlay", "over0", "part 1/1")
			}
			a, b := d1.ContainerOn("overlay"), d2.ContainerOn("overlay")
			reach(t, "on the whole lease", a, b)
			if got := lab.SendTCP(t, a.Namespace, l.Outside, at(lab.OutsideAddress, 80), 1000); got.Source != h1.Addr {
				t.Errorf("the outside saw %v, want %v", got.Source, h1.Addr)
			}
			// A container with docker0 alone gets out, too.
			if got := lab.SendTCP(t, d1.Container().Namespace, l.Outside, at(lab.OutsideAddress, 80), 1000); got.Source != h1.Addr {
				t.Errorf("the outside saw %v of docker0, want %v", got.Source, h1.Addr)
			}
			// Packets to the bridge are dropped, and status says where.
			h2.Exec(t, "sh", "-c", "nft add table inet x; nft 'add chain inet x f { type filter hook forward priority 10; }'; nft add rule inet x f oifname over0 drop")
			lab.Eventually(t, 20*time.Second, "the rule to be named", func() error {
				found := fmt.Sprintf("%+v", h2.Status().Problems)
				return lab.Expect(strings.Contains(found, "over0"), "%s", found)
			})
		})
	}
}

// TestWhatIsInTheWayOfARealDocker: one line says what to type, and nothing was
// changed.
func TestWhatIsInTheWayOfARealDocker(t *testing.T) {
	for _, release := range dockers(t) {
		t.Run(release.Name, func(t *testing.T) {
			l := lab.New(t)
			h := l.Host()
			h.Start().WaitReady(ready)
			d := h.StartDocker(release)
			create := func(args ...string) lab.Result {
				return d.Flanneld(append([]string{"docker", "network", "create"}, args...)...)
			}
			refuses(t, "docker0 has all", create(), 1, "docker0 has it", "--docker-part 1/2")
			h.Daemon.Stop()
			h.Start("--docker-part", "1/2").WaitReady(ready)
			refuses(t, "dockerd was not restarted", create("--part", "2/2"), 1, "docker0 has "+h.Lease().String(), "restart dockerd")
			d.Stop()
			d.Start()
			d.Docker("network", "create", "--subnet", upperHalf(h.Lease()).String(), "mine")
			refuses(t, "another network", create(), 1, "Docker network mine has "+upperHalf(h.Lease()).String(), "docker network rm mine")
			refuses(t, "of that name", create("mine", "--part", "2/2"), 1, "was not made by flanneld", "docker network rm mine")
			refuses(t, "remove", d.Flanneld("docker", "network", "remove", "mine"), 1, "was not made by flanneld")
			d.Docker("network", "rm", "mine")
			says(t, "create", create().Stdout, "was made", "part 2/2")
			// A container that has ended counts: it would not start again. One
			// that has never run finds the network by its name.
			d.Docker("run", "--name", "idle", "--network", "flannel", "lab", "/bin/echo")
			d.Docker("create", "--name", "fresh", "--network", "flannel", "lab", "/bin/sleep", "1000")
			refuses(t, "a container that has ended", create("--part", "4/4"), 1, "containers are in the way (idle)", "docker rm -f idle")
			d.Docker("rm", "idle")
			says(t, "create", create("--part", "4/4").Stdout, "was made anew", "part 4/4")
			d.Docker("start", "fresh")
			d.Docker("rm", "-f", "fresh")

			user := exec.Command("setpriv", append([]string{"--reuid", "65534", "--regid", "65534", "--clear-groups"}, h.Command("docker", "network", "create").Args...)...)
			user.Env = append(h.Command().Env, "DOCKER_HOST="+d.Socket())
			refuses(t, "an ordinary user", h.RunCommand(t, user), 1, "no permission for Docker's socket", "as root")

			s := restarting(t, d, create)
			t.Logf("while dockerd was restarted: %d of %d commands were told so", s.failed, s.all)
			says(t, "create", create().Stdout, "is as it should be")
			d.Stop()
			refuses(t, "stopped", create(), 1, "no Docker engine answers", "systemctl start docker")
		})
	}
}

type outcomes struct{ all, failed int }

// restarting runs the command again and again while dockerd is restarted. Each
// succeeds, or says in one line what to do.
func restarting(t *testing.T, d *lab.Docker, create func(...string) lab.Result) (o outcomes) {
	t.Helper()
	over := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for part := 3; ; part = 7 - part { // 3/4 and 4/4 in turn
			select {
			case <-over:
				create("--part", "4/4")
				return
			default:
			}
			r := create("--part", fmt.Sprintf("%d/4", part))
			if o.all++; r.Status != 0 {
				o.failed++
				if r.Status != 1 || strings.Count(r.Stderr, "\n") != 1 {
					t.Errorf("exit status %d: %s%s", r.Status, r.Stdout, r.Stderr)
				}
			}
		}
	})
	for range 2 {
		d.Stop()
		d.Start()
	}
	close(over)
	done.Wait()
	return o
}
