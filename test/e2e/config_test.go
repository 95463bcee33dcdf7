// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// What happens when a host is configured otherwise than before, or than others.

func TestHostsThatAllWaitForEachOtherReportIt(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	h1.Start("--join", h2.Addr.String())
	h2.Start("--join", h1.Addr.String())
	for _, h := range l.Hosts() {
		lab.Eventually(t, ready, h.NodeName+" to say what is missing", func() error {
			status := h.Flanneld("status").Stdout // it may not listen yet
			return lab.Expect(containsFold(status, "network") && containsFold(status, "join") && containsFold(status, "found"), "%s", status)
		})
		if h.SubnetFile() != nil {
			t.Errorf("%s has founded a network", h.NodeName)
		}
	}
	// One node, started without --join, founds it for both.
	h1.Daemon.Stop()
	h1.Start().WaitReady(ready)
	h2.Daemon.WaitReady(2 * ready)
	l.WaitConverged(2)
}

func TestAnotherNetworkThanTheOneInTheStateDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	_, h := founder(t)
	lease := h.Lease()
	h.Daemon.Stop()
	d := h.Start("--network", "10.90.0.0/16")
	refusedDaemon(t, h, d, 1, "10.90.0.0/16", "10.244.0.0/16")
	h.Start("--network", "10.244.0.0/16").WaitReady(ready)
	if h.Lease() != lease {
		t.Errorf("the lease became %v, it was %v", h.Lease(), lease)
	}
}

func TestAnotherPinThanTheLeaseHeldIsClear(t *testing.T) {
	t.Parallel()
	l, h := founder(t, "--subnet", "10.244.10.0/24")
	h2 := l.Host()
	h2.Start("--join", h.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	h.Daemon.Stop()
	d := h.Start("--subnet", "10.244.20.0/24")
	select {
	case <-d.Ready(): // moved, and all nodes know
		if got := h.Lease().String(); got != "10.244.20.0/24" {
			t.Errorf("pinned to 10.244.20.0/24, it has %s", got)
		}
		lab.Eventually(t, ready, "host2 to know", func() error {
			nodes, err := h2.Nodes()
			if err != nil {
				return err
			}
			return lab.Expect(nodes.Find("host1").Subnet == "10.244.20.0/24", "%+v", nodes)
		})
		mentions(t, "flannel0", h.Exec(t, "ip", "-4", "address", "show", "flannel0"), "10.244.20.0/32")
	case <-d.Gone():
		refusedDaemon(t, h, d, 1, "10.244.10.0/24", "10.244.20.0/24")
	case <-time.After(ready):
		t.Errorf("neither ready nor refused:\n%s", d.Log())
	}
}

func TestFounderThatLeavesComesBackAsAnyOther(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Trio()
	p2, p3 := h2.Pod(), h3.Pod()
	h1.MustFlanneld("leave")
	if status := h1.Daemon.WaitEnd(5 * time.Second); status != 0 {
		t.Errorf("exit status %d", status)
	}
	p2.Reachable(t, p3.Addr, 5*time.Second)
	h4 := l.Host()
	h4.Start("--join", h3.Addr.String()).WaitReady(ready)
	h1.Start("--join", h2.Addr.String()).WaitReady(ready)
	l.WaitConverged(4)
	h1.Pod().Reachable(t, h4.Pod().Addr, 5*time.Second)
}

func TestOtherDeviceAndPortsAfterARestart(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	lease := h2.Lease()
	h2.Daemon.Stop()
	h2.MustFlanneld("cleanup")
	h2.Start("--join", h1.Addr.String(), "--device", "over0", "--port", "9001", "--gossip-port", "9002", "--mtu", "1300").WaitReady(ready)
	if h2.Lease() != lease {
		t.Errorf("the lease became %v, it was %v", h2.Lease(), lease)
	}
	lab.Eventually(t, ready, "host1 to know the new port", func() error {
		nodes, err := h1.Nodes()
		if err != nil {
			return err
		}
		return lab.Expect(nodes.Find("host2").Endpoint == "192.168.50.12:9001", "%+v", nodes.Find("host2"))
	})
	p1.Reachable(t, p2.Addr, 5*time.Second)
	p2.Reachable(t, p1.Addr, 5*time.Second)
}

func TestUnderlayDeviceThatGoesDownAndUp(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, _ := l.Trio()
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	lease := h2.Lease()
	h2.Exec(t, "ip", "link", "set", "eth0", "down")
	h1.WaitState("host2", "dead", 30*time.Second)
	h2.Exec(t, "ip", "link", "set", "eth0", "up")
	h2.Exec(t, "ip", "route", "replace", "default", "via", lab.Gateway.String())
	l.WaitConverged(3)
	p2.Reachable(t, p1.Addr, 10*time.Second)
	if h2.Lease() != lease || h2.Daemon.Ended() {
		t.Errorf("host2 has %v, it had %v", h2.Lease(), lease)
	}
}

func TestYoungerOfTwoHostsMayDie(t *testing.T) {
	t.Parallel()
	l, h1, h2 := duo(t)
	h2.Daemon.Kill()
	h1.WaitState("host2", "dead", 30*time.Second)
	h3 := l.Host()
	h3.Start("--join", h1.Addr.String()).WaitReady(ready)
	h3.Pod().Reachable(t, h1.Pod().Addr, 5*time.Second)
}

func TestJumboUnderlay(t *testing.T) {
	t.Parallel()
	extremes(t, jumboUnderlay)
}

func jumboUnderlay(t *testing.T, offload string) {
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	for _, h := range l.Hosts() {
		h.Exec(t, "ip", "link", "set", "eth0", "mtu", "9000")
	}
	l.Switch.Exec(t, "sh", "-c", "for d in host1 host2 br0; do ip link set $d mtu 9000; done")
	h1.Start(edge(offload)...).WaitReady(ready)
	h2.Start(edge(offload, "--join", h1.Addr.String())...).WaitReady(ready)
	l.WaitConverged(2)
	if got := h1.Status().Device.MTU; got != 8972 {
		t.Errorf("MTU %d on an underlay of 9000", got)
	}
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	if a := p1.Ping(t, lab.Echo{To: p2.Addr, Size: 8972}); a.From != p2.Addr {
		t.Errorf("8972 bytes: %v", a)
	}
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 32<<20)
}

func TestTwoNetworksShareTheirHosts(t *testing.T) {
	t.Parallel()
	l, h1, h2 := duo(t)
	second := map[*lab.Host]string{} // the run directory
	var first *lab.Host
	for _, h := range []*lab.Host{h1, h2} {
		run, state := filepath.Join(l.Dir(), h.NodeName+"-run"), filepath.Join(l.Dir(), h.NodeName+"-state")
		second[h] = run
		args := []string{"run", "--run-dir", run, "--state-dir", state, "--node-name", "second-" + h.NodeName,
			"--device", "flannel1", "--port", "9285", "--gossip-port", "9286"}
		if first == nil {
			args = append(args, "--network", "10.99.0.0/16")
			first = h
		} else {
			args = append(args, "--join", first.Addr.String()+":9286")
		}
		if err := errors.Join(os.Mkdir(run, 0o755), os.Mkdir(state, 0o700)); err != nil {
			t.Fatal(err)
		}
		h.StartCommand(h.Command(args...)).WaitReady(ready)
	}
	subnet := func(h *lab.Host) netip.Addr {
		_, line, _ := strings.Cut(read(t, filepath.Join(second[h], "subnet.env")), "FLANNEL_SUBNET=")
		line, _, _ = strings.Cut(line, "\n")
		return netip.MustParsePrefix(line).Masked().Addr()
	}
	h1.Reachable(t, subnet(h2), 5*time.Second)
	h1.Pod().Reachable(t, h2.Pod().Addr, 5*time.Second)
	// Their rules stand side by side and leave each other alone.
	rules := firewall(t, h1)
	<-time.After(7 * time.Second)
	if now := firewall(t, h1); now != rules {
		t.Errorf("the rules became\n%s\nfrom\n%s", now, rules)
	}
	// The end of the second network does not end the first.
	if r := h1.Flanneld("leave", "--run-dir", second[h1]); r.Status != 0 {
		t.Errorf("leave of the second network: %s", r.Stderr)
	}
	if h1.Run(t, "ip", "link", "show", "flannel1").Status == 0 {
		t.Error("flannel1 is still there")
	}
	h1.Reachable(t, h2.Lease().Addr(), 5*time.Second)
}
