// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/kubernetes"
	"flanneld/internal/kubernetes/kubernetestest"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// inCluster makes a daemon that is the Node a of a cluster, and its API server.
func inCluster(t *testing.T, flags map[string][]string) (*daemon, *kubernetestest.Server) {
	t.Helper()
	s := kubernetestest.NewServer("token")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(s.Serve(l), s.Account(dir, "flanneld", "token")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Away)
	env := s.Environment()
	client, err := kubernetes.InCluster(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	c, err := kubernetes.NewCluster(kubernetes.Config{Client: client, Node: "a", Default: config.DefaultNetwork, GossipPort: 8286})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(flags, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	cfg.RunDir = t.TempDir()
	return &daemon{
		cfg: cfg, log: slog.New(slog.DiscardHandler), problems: problem.NewBoard(slog.New(slog.DiscardHandler)), cluster: &cluster{Cluster: c},
		started: time.Now(), pulse: make(chan struct{}),
	}, s
}

func TestThePodCIDRIsThePin(t *testing.T) {
	for _, c := range []struct{ flags, podCIDR, fault string }{
		{"", "10.244.7.0/24", ""},
		{"network=10.9.0.0/16", "10.9.0.0/24", ""},
		{"network=10.9.0.0/16", "10.9.0.0/26", ""},
		{"subnet=10.244.7.0/24", "10.244.7.0/24", ""},
		{"", "", ""},
		{"network=10.9.0.0/16", "10.8.0.0/24", "--network 10.9.0.0/16: Node a has the podCIDR 10.8.0.0/24, which is not in it: give the --cluster-cidr"},
		{"network=10.9.0.0/16", "10.8.0.0/12", "which is not in it"},
		{"subnet=10.244.8.0/24", "10.244.7.0/24", "--subnet 10.244.8.0/24: Node a has the podCIDR 10.244.7.0/24: leave the flag out"},
		{"subnet-len=25", "10.244.7.0/24", "--subnet-len 25: Node a has the podCIDR 10.244.7.0/24: leave the flag out"},
		{"", "10.244.7.0/31", "which is too small: give the controller manager a smaller --node-cidr-mask-size"},
	} {
		flags := map[string][]string{"join": {"k8s:"}}
		if name, value, ok := strings.Cut(c.flags, "="); ok {
			flags[name] = []string{value}
		}
		d, _ := inCluster(t, flags)
		var podCIDR netip.Prefix
		if c.podCIDR != "" {
			podCIDR = netip.MustParsePrefix(c.podCIDR)
		}
		err := d.pinTo(podCIDR)
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		if err != nil || d.cfg.Subnet != podCIDR || podCIDR.IsValid() && (d.cfg.SubnetLen != podCIDR.Bits() || d.cfg.LeaseTTL != pinnedTTL || !d.cluster.pins()) {
			t.Errorf("%+v: %v, %+v", c, err, d.cfg)
		}
		if !podCIDR.IsValid() && d.cfg.LeaseTTL != config.DefaultLeaseTTL {
			t.Errorf("%+v: leases end after %s", c, d.cfg.LeaseTTL)
		}
	}
	d, _ := inCluster(t, map[string][]string{"join": {"k8s:"}, "lease-ttl": {"3h"}})
	if err := d.pinTo(netip.MustParsePrefix("10.244.7.0/24")); err != nil || d.cfg.LeaseTTL != 3*time.Hour {
		t.Errorf("%v, %s", err, d.cfg.LeaseTTL)
	}
}

// A node that is in a network starts without the API server. Any other one says
// what it waits for, until the API server is there.
func TestOnlyANewNodeWaitsForTheCluster(t *testing.T) {
	t.Parallel()
	d, s := inCluster(t, map[string][]string{"join": {"k8s:"}})
	began := time.Now()
	if own, err := d.askCluster(t.Context(), true); err != nil || own != nil || time.Since(began) > askKnown+time.Second {
		t.Errorf("%+v, %v after %s", own, err, time.Since(began))
	}
	type answer struct {
		own *kubernetes.Own
		err error
	}
	done := make(chan answer, 1)
	go func() {
		own, err := d.askCluster(t.Context(), false)
		done <- answer{own, err}
	}()
	client := control.NewClient(d.cfg.SocketPath())
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		status, err := client.Status(t.Context())
		if err == nil && strings.Contains(status.Lease.Waiting, "waiting for the cluster: the cluster has no Node a") && len(status.Problems) > 0 {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("%+v, %v", status, err)
		}
	}
	select { // its goroutine answers meanwhile
	case d.pulse <- struct{}{}:
	case <-time.After(5 * time.Second):
		t.Error("no answer while it waits")
	}
	s.AddNode("a", "192.0.2.1", "10.244.0.0/24")
	s.EditNode("a", func(n kubernetestest.Object) {
		n["metadata"].(kubernetestest.Object)["annotations"] = kubernetestest.Object{"flanneld/network": "of before"}
	})
	select {
	case a := <-done:
		if a.err != nil || a.own.PodCIDR != netip.MustParsePrefix("10.244.0.0/24") {
			t.Errorf("%+v, %v", a.own, a.err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for ever")
	}
	if n := s.Node("a"); strings.Contains(n, "of before") {
		t.Errorf("the mark of a network that is lost stays: %s", n)
	}
	if all := d.problems.All(); len(all) > 0 {
		t.Errorf("problems that are over: %v", all)
	}
}

func TestAMisfitOfTheClusterIsOneForPeers(t *testing.T) {
	d, s := inCluster(t, map[string][]string{"join": {"k8s:"}})
	s.AddNode("a", "192.0.2.1", "")
	s.PutLease("flanneld", "flanneld", kubernetestest.Object{"spec": kubernetestest.Object{"holderIdentity": "x"}})
	_, _, err := d.election().MayFound(t.Context(), peers.NodeID{}, netip.MustParseAddrPort("192.0.2.1:8286"))
	if !errors.Is(err, peers.ErrConfig) || !errors.Is(err, kubernetes.ErrConfig) || !strings.Contains(err.Error(), "is not one of flanneld's") {
		t.Error(err)
	}
	d.cluster.podCIDR = netip.MustParsePrefix("10.244.0.0/24")
	if err := d.cluster.explain(fmt.Errorf("%w: x", peers.ErrNetworkMismatch)); !errors.Is(err, peers.ErrNetworkMismatch) || !strings.Contains(err.Error(), "10.244.0.0/24 is the podCIDR of Node a") {
		t.Error(err)
	}
	if other := errors.New("x"); !errors.Is(d.cluster.explain(other), other) || !errors.Is((*cluster)(nil).explain(other), other) {
		t.Error("any error is explained")
	}
}
