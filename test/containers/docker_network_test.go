// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package containers

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"flanneld/test/lab"
)

// dockers are the versions of Docker to test with.
func dockers(t *testing.T) []lab.DockerRelease {
	t.Helper()
	releases := []lab.DockerRelease{lab.DockerInstalled(t)}
	if newer, ok := lab.DockerTesting(t); ok {
		releases = append(releases, newer)
	}
	return releases
}

// at makes an address and a port.
func at(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// says fails the test unless the text has every word.
func says(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s: no %q in:\n%s", what, word, text)
		}
	}
}

// refuses fails the test unless a command ended with the exit status, and one
// line of error that has every word.
func refuses(t *testing.T, what string, r lab.Result, status int, words ...string) {
	t.Helper()
	if r.Status != status || strings.Count(r.Stderr, "\n") != 1 || !strings.HasPrefix(r.Stderr, "flanneld: ") {
		t.Errorf("%s: exit status %d, want %d: %s%s", what, r.Status, status, r.Stdout, r.Stderr)
	}
	says(t, what, r.Stderr, words...)
}

// reach waits until two containers reach each other by their own addresses, by
// ping and TCP, both ways.
func reach(t *testing.T, when string, a, b *lab.Container) {
	t.Helper()
	for _, way := range [][2]*lab.Container{{a, b}, {b, a}} {
		from, to := way[0], way[1]
		lab.Eventually(t, 15*time.Second, from.Addr.String()+" to reach "+to.Addr.String()+" "+when, func() error {
			answer := from.Ping(t, lab.Echo{To: to.Addr, Wait: 300 * time.Millisecond})
			return lab.Expect(answer.Type == ipv4.ICMPTypeEchoReply && answer.From == to.Addr, "%v", answer)
		})
		lab.Eventually(t, 10*time.Second, "the own address of "+from.Addr.String()+" "+when, func() error {
			got := lab.SendTCP(t, from.Namespace, to.Namespace, at(to.Addr, 7000), 1000)
			return lab.Expect(got.Source == from.Addr, "arrived as %v", got.Source)
		})
	}
}

// isolated fails the test unless no packet gets from one container to another.
func isolated(t *testing.T, from, to *lab.Container) {
	t.Helper()
	if a := from.Ping(t, lab.Echo{To: to.Addr, Wait: 300 * time.Millisecond}); a.From == to.Addr {
		t.Errorf("%s reaches %s, although Docker isolates their networks", from.Addr, to.Addr)
	}
}

// TestDockerNetworkOverTheLease: docker0 has the first half of the lease and a
// network made by flanneld the second. Containers on both reach other hosts by
// their own addresses, also after a restart of dockerd.
func TestDockerNetworkOverTheLease(t *testing.T) {
	for _, release := range dockers(t) {
		t.Run(release.Name, func(t *testing.T) {
			t.Parallel()
			networkOverTheLease(t, release)
		})
	}
}

func networkOverTheLease(t *testing.T, release lab.DockerRelease) {
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	h1.Start("--docker-part", "1/2").WaitReady(ready)
	h2.Start("--docker-part", "1/2", "--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	d1, d2 := h1.StartDocker(release), h2.StartDocker(release)
	for _, d := range []*lab.Docker{d1, d2} {
		says(t, "create", d.MustFlanneld("docker", "network", "create"), "network flannel was made", "part 2/2", "br-flannel", "MTU 1472")
		says(t, "again", d.MustFlanneld("docker", "network", "create"), "network flannel is as it should be")
		says(t, "show", d.MustFlanneld("docker", "network", "show"), "bridge", "docker0", "part 1/2", "flannel", "br-flannel", "part 2/2")
	}
	a, b, plain := d1.ContainerOn("flannel"), d2.ContainerOn("flannel", "--publish", "8080:80"), d1.Container()
	if half := upperHalf(h1.Lease()); !half.Contains(a.Addr) || half.Contains(plain.Addr) || !h1.Lease().Contains(plain.Addr) {
		t.Errorf("of the lease %s the network has %s and docker0 %s", h1.Lease(), a.Addr, plain.Addr)
	}
	if got := a.Inside("ip", "link", "show", "eth0"); !strings.Contains(got, "mtu 1472") {
		t.Errorf("the container's device: %s", got)
	}
	reach(t, "at first", a, b)
	reach(t, "from docker0", plain, b)
	isolated(t, a, plain)
	lab.SendTCPVia(t, h1.Namespace, b.Namespace, at(h2.Addr, 8080), at(b.Addr, 80), 1<<20)
	lab.SendTCPVia(t, l.Outside, b.Namespace, at(h2.Addr, 8080), at(b.Addr, 80), 1<<20)
	if got := lab.SendTCP(t, a.Namespace, l.Outside, at(lab.OutsideAddress, 80), 1000); got.Source != h1.Addr {
		t.Errorf("the outside saw %v, want %v", got.Source, h1.Addr)
	}
	refuses(t, "remove", d2.Flanneld("docker", "network", "remove"), 1, "containers are in network flannel", "docker rm -f")
	d2.Stop()
	d2.Start()
	b = d2.ContainerOn("flannel")
	reach(t, "after a restart of dockerd", a, b)
	says(t, "create", d2.MustFlanneld("docker", "network", "create"), "is as it should be")
	lab.Eventually(t, 10*time.Second, "no problem", func() error {
		found := h2.Status().Problems
		return lab.Expect(len(found) == 0, "%+v", found)
	})
	says(t, "all gone", d2.Docker("rm", "-f", b.ID))
	says(t, "remove", d2.MustFlanneld("docker", "network", "remove"), "removed network flannel")
	says(t, "remove", d2.MustFlanneld("docker", "network", "remove"), "nothing to remove")
}

// upperHalf is the second half of a lease.
func upperHalf(lease netip.Prefix) netip.Prefix {
	a := lease.Addr().As4()
	a[3] += 128
	return netip.PrefixFrom(netip.AddrFrom4(a), lease.Bits()+1)
}
