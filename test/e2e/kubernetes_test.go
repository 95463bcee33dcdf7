// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"flanneld/internal/kubernetes/kubernetestest"
	"flanneld/test/lab"
)

// apiPort is where the API server of a lab listens.
const apiPort = 6443

// kube is a lab with an API server on a host of its own.
type kube struct {
	*kubernetestest.Server
	t       *testing.T
	lab     *lab.Lab
	host    *lab.Host
	account string // directory of the service account
}

// kubernetesLab makes a lab whose API server is away.
func kubernetesLab(t *testing.T) *kube {
	l := lab.New(t)
	k := &kube{kubernetestest.NewServer("token"), t, l, l.Host(), t.TempDir()}
	k.begin()
	if err := k.Account(k.account, "kube-flanneld", "token"); err != nil {
		t.Fatal(err)
	}
	k.Away()
	t.Cleanup(k.Away)
	return k
}

// begin starts the API server, or starts it again.
func (k *kube) begin() {
	k.t.Helper()
	if err := k.Serve(k.host.Listen(k.t, netip.AddrPortFrom(k.host.Addr, apiPort))); err != nil {
		k.t.Fatal(err)
	}
}

// node adds a host that is a Node of the cluster.
func (k *kube) node(podCIDR string) *lab.Host {
	h := k.lab.Host()
	k.AddNode(h.NodeName, h.Addr.String(), podCIDR)
	return h
}

// start runs flanneld on a host as in a pod: with the service account where the
// kubelet puts it, and its environment.
func (k *kube) start(h *lab.Host, args ...string) *lab.Daemon {
	cmd := through(k.t, h, `exec unshare --mount --propagation private sh -c '
		mount -t tmpfs tmpfs /var && mkdir -p /var/run/secrets/kubernetes.io &&
		ln -s "$ACCOUNT" /var/run/secrets/kubernetes.io/serviceaccount && exec "$@"' sh "$@"`, append([]string{"--join", "k8s:"}, args...)...)
	cmd.Env = append(cmd.Env, "ACCOUNT="+k.account, "NODE_NAME="+h.NodeName,
		"KUBERNETES_SERVICE_HOST="+k.host.Addr.String(), fmt.Sprint("KUBERNETES_SERVICE_PORT=", apiPort))
	return h.StartCommand(cmd)
}

// has waits until a Node's JSON has all texts.
func (k *kube) has(node string, texts ...string) {
	k.t.Helper()
	lab.Eventually(k.t, ready, "Node "+node+" is patched", func() error {
		for _, text := range texts {
			if n := k.Node(node); !strings.Contains(n, text) {
				return fmt.Errorf("no %s in %s", text, n)
			}
		}
		return nil
	})
}

// Three hosts of a cluster with podCIDRs, the first subnet among them. The API
// server is away for a while: traffic goes on, and a restart needs no API
// server.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	k := kubernetesLab(t)
	h1, h2, h3 := k.node("10.244.0.0/24"), k.node("10.244.1.0/24"), k.node("10.244.2.0/24")
	k.start(h1, "--lease-ttl", "1s")
	var s lab.Status
	lab.Eventually(t, ready, "status says that the API server is away", func() error {
		if err := h1.JSON(&s, "status"); err != nil {
			return err
		}
		if !strings.Contains(s.Lease.Waiting, "waiting for the cluster: the API server https://"+k.host.Addr.String()) {
			return fmt.Errorf("it waits for %q", s.Lease.Waiting)
		}
		return nil
	})
	k.begin()
	k.start(h2)
	k.start(h3, "--lease-ttl", "1s")
	for h, want := range map[*lab.Host]string{h1: "10.244.0.0/24", h2: "10.244.1.0/24", h3: "10.244.2.0/24"} {
		h.Daemon.WaitReady(ready)
		if got := h.Lease().String(); got != want {
			t.Errorf("%s holds %s, want its podCIDR %s", h.NodeName, got, want)
		}
		k.has(h.NodeName, `"flanneld/network":`, `"reason":"FlanneldIsUp","status":"False","type":"NetworkUnavailable"`)
	}
	k.lab.WaitConverged(3)
	p1, p3 := h1.Pod(), h3.Pod()
	p1.Reachable(t, p3.Addr, 5*time.Second)

	k.Away()
	h3.Daemon.Stop()
	began := time.Now()
	k.start(h3, "--lease-ttl", "1s").WaitReady(ready)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a start from disk without the API server took %s", took)
	}
	p1.Reachable(t, p3.Addr, 5*time.Second)
	if asked := len(k.Calls()); asked > 100 {
		t.Errorf("%d requests in all", asked)
	}

	// A node that was re-imaged waits until its identity of before is given up,
	// and has its subnet again.
	k.begin()
	h2.Daemon.Kill()
	if err := os.RemoveAll(h2.StateDir); err != nil {
		t.Fatal(err)
	}
	k.start(h2, "--lease-ttl", "1s")
	defer func() {
		h2.Daemon.WaitReady(ready)
		if got := h2.Lease().String(); got != "10.244.1.0/24" {
			t.Errorf("%s holds %s, want its podCIDR again", h2.NodeName, got)
		}
	}()

	h4 := k.node("10.9.0.0/24")
	d := k.start(h4, "--network", "10.244.0.0/16")
	refusedDaemon(t, h4, d, 1, "--network 10.244.0.0/16", "Node "+h4.NodeName+" has the podCIDR 10.9.0.0/24", "--cluster-cidr")
	refusedDaemon(t, h4, k.start(h4), 1, "10.9.0.0/24", "is the podCIDR of Node "+h4.NodeName)
	h5 := k.node("")
	refusedDaemon(t, h5, h5.Start("--join", "k8s:"), 1, "--join k8s:", "KUBERNETES_SERVICE_HOST")
	k.start(h5, "--network", "10.244.0.0/16", "--lease-ttl", "1s").WaitReady(ready) // a lease of its own
	if l := h5.Lease(); !lab.Overlay.Contains(l.Addr()) {
		t.Error(l)
	}
}

// Ten nodes wait for the API server, and find one network when it is there.
func TestTenNodesOfAClusterFindOneNetwork(t *testing.T) {
	t.Parallel()
	k := kubernetesLab(t)
	var hosts []*lab.Host
	for i := range 10 {
		h := k.node(fmt.Sprintf("10.244.%d.0/24", i))
		hosts = append(hosts, h)
		k.start(h)
	}
	for _, h := range hosts {
		h.Daemon.WaitLog("underlay chosen", ready)
	}
	k.begin()
	began := time.Now()
	for _, h := range hosts {
		h.Daemon.WaitReady(ready)
	}
	t.Logf("ten nodes are ready %s after the API server, after %d requests", time.Since(began).Round(100*time.Millisecond), len(k.Calls()))
	k.lab.WaitConverged(10)
	founded := 0
	for i, h := range hosts {
		founded += strings.Count(h.Daemon.Log(), "founding a network")
		if got, want := h.Lease().String(), fmt.Sprintf("10.244.%d.0/24", i); got != want {
			t.Errorf("%s holds %s, want %s", h.NodeName, got, want)
		}
	}
	if founded != 1 {
		t.Errorf("%d nodes founded", founded)
	}
}
