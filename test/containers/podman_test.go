// SPDX-License-Identifier: Apache-2.0

//go:build e2e && containers

package containers

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flanneld/test/lab"
)

func init() {
	preparations = append(preparations, lab.PodmanWithCNI.Fetch, lab.PodmanWithNetavark.Fetch)
}

// reached checks two containers, the second of which has its port 80 published
// as port 8080 of its host.
func reached(t *testing.T, a, b *lab.Pod) {
	t.Helper()
	for _, p := range []*lab.Pod{a, b} {
		if !p.Host.Lease().Contains(p.Addr) {
			t.Fatalf("%v is not in the lease %v of %s", p.Addr, p.Host.Lease(), p.Host.NodeName)
		}
	}
	ownAddresses(t, a, b)
	published, port := netip.AddrPortFrom(b.Host.Addr, 8080), netip.AddrPortFrom(b.Addr, 80)
	lab.SendTCPVia(t, a.Host.Namespace, b.Namespace, published, port, 1<<16)
	lab.SendTCPVia(t, a.Namespace, b.Namespace, published, port, 1<<16)
	if got, want := a.Exec(t, "ip", "link", "show", "eth0"), " mtu "+a.Host.SubnetFile()["FLANNEL_MTU"]+" "; !strings.Contains(got, want) {
		t.Errorf("not%sin %s", want, got)
	}
}

// TestPodmanNames: containers of one host find each other by name. All hosts of
// a laboratory share /run, where the name server has its files, so this one is
// alone.
func TestPodmanNames(t *testing.T) {
	h := lab.New(t).Host()
	h.Start().WaitReady(ready)
	p := h.Podman(lab.PodmanWithNetavark, "netavark", "")
	h.MustFlanneld("podman", "network", "-d", p.Networks)
	p.Run("a", "--network", "flanneld")
	b := p.Run("b", "--network", "flanneld")
	lab.Eventually(t, ready, "the name of a container", func() error {
		// Without an image, resolv.conf may be another: name the server.
		r := h.RunCommand(t, p.Command("exec", "a", "/bin/busybox", "nslookup", "b.dns.podman", h.Lease().Addr().Next().String()))
		return lab.Expect(strings.Contains(r.Stdout, b.Addr.String()), "%s%s", r.Stdout, r.Stderr)
	})
}

// TestPodmanNetavark uses the network that flanneld writes.
func TestPodmanNetavark(t *testing.T) {
	l := lab.New(t)
	h1, h2 := pair(l)
	p1, p2 := h1.Podman(lab.PodmanWithNetavark, "netavark", ""), h2.Podman(lab.PodmanWithNetavark, "netavark", "")
	for h, p := range map[*lab.Host]*lab.Podman{h1: p1, h2: p2} {
		refused := h.RunCommand(t, p.Command("network", "create", "--subnet", h.Lease().String(), "own"))
		if refused.Status == 0 || !strings.Contains(refused.Stderr, "already used on the host") {
			t.Errorf("podman makes a network over the lease itself: %+v", refused)
		}
		h.MustFlanneld("podman", "network", "-d", p.Networks)
		t.Logf("%s: %s", h.NodeName, p.Podman("network", "ls"))
	}
	a, b := p1.Run("a", "--network", "flanneld"), p2.Run("b", "--network", "flanneld", "--publish", "8080:80")
	reached(t, a, b)
	t.Run("a container starts while the daemon is down", func(t *testing.T) {
		h1.Daemon.Stop()
		d := p1.Run("d", "--network", "flanneld")
		h1.Start().WaitReady(ready)
		ownAddresses(t, d, b)
	})
	t.Run("another lease, another file", func(t *testing.T) {
		p1.Podman("rm", "--all", "--force", "--time", "0")
		h1.MustFlanneld("leave")
		h1.Daemon.WaitEnd(ready)
		h1.Start("--join", h2.Addr.String(), "--subnet", "10.244.99.0/24").WaitReady(ready)
		h1.MustFlanneld("podman", "network", "-d", p1.Networks)
		ownAddresses(t, p1.Run("e", "--network", "flanneld"), b)
	})
}

// TestPodmanDefaultNetwork: podman's own network lies in the lease.
func TestPodmanDefaultNetwork(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := pair(l)
	settings := func(h *lab.Host) string {
		return fmt.Sprintf("[network]\ndefault_subnet = %q\n", h.Lease())
	}
	p1, p2 := h1.Podman(lab.PodmanWithNetavark, "netavark", settings(h1)), h2.Podman(lab.PodmanWithNetavark, "netavark", settings(h2))
	a, b := p1.Run("a"), p2.Run("b", "--publish", "8080:80")
	for _, p := range []*lab.Pod{a, b} {
		if !p.Host.Lease().Contains(p.Addr) {
			t.Fatalf("%v is not in the lease %v", p.Addr, p.Host.Lease())
		}
	}
	ownAddresses(t, a, b)
}

// TestPodmanCNI uses the example for CNI.
func TestPodmanCNI(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := pair(l)
	var pods []*lab.Podman
	for _, h := range []*lab.Host{h1, h2} {
		p := h.Podman(lab.PodmanWithCNI, "cni", fmt.Sprintf("[network]\ncni_plugin_dirs = [%q, %q]\n", h.PluginFolder(), lab.DebianCNI))
		if err := os.WriteFile(filepath.Join(p.Networks, "10-flanneld.conflist"), []byte(h.NetworkList(example(t))), 0o644); err != nil {
			t.Fatal(err)
		}
		pods = append(pods, p)
	}
	a, b := pods[0].Run("a", "--network", "flanneld"), pods[1].Run("b", "--network", "flanneld", "--publish", "8080:80")
	reached(t, a, b)
	h1.Daemon.Stop()
	c := pods[0].Run("c", "--network", "flanneld")
	h1.Start().WaitReady(ready)
	ownAddresses(t, c, b)
	pods[0].Podman("rm", "--all", "--force", "--time", "0")
	if left, err := os.ReadDir(filepath.Join(h1.CNIFile("networks"), "flanneld")); err != nil || len(left) > 2 { // its lock and last address
		t.Errorf("after rm: %v, %v", left, err)
	}
}
