// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// TestRestartLeavesNoGap watches from every side while the daemon in the
// middle is replaced, by SIGTERM and by kill -9. It does not run beside
// others: what it measures is time.
func TestRestartLeavesNoGap(t *testing.T) {
	extremes(t, restartLeavesNoGap)
}

func restartLeavesNoGap(t *testing.T, offload string) {
	l := lab.New(t)
	h1, h2, _ := l.Trio(edge(offload)...)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	for _, end := range []struct {
		name string
		stop func(*lab.Daemon)
	}{
		{"SIGTERM", func(d *lab.Daemon) {
			if status := d.Stop(); status != 0 {
				t.Errorf("exit status %d after SIGTERM", status)
			}
		}},
		{"kill -9", func(d *lab.Daemon) { d.Kill() }},
	} {
		for _, host := range []*lab.Host{h1, h2} {
			t.Run(end.name+" of "+host.NodeName, func(t *testing.T) {
				lease := host.Lease()
				watch := host.Watch("flannel0")
				leaks := []lab.LeakCounter{h1.CountLeaks(lab.Overlay), h2.CountLeaks(lab.Overlay)}
				pings := []*lab.Pinger{
					p1.StartPinging(t, p2.Addr, 10*time.Millisecond),
					p2.StartPinging(t, p1.Addr, 10*time.Millisecond),
				}
				talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
				flowing := func() error {
					c := pings[0].Count()
					return lab.Expect(c.Sent-c.Lost > 50 && talk.Rounds() > 20, "%v, %d rounds", c, talk.Rounds())
				}
				lab.Eventually(t, 10*time.Second, "traffic", flowing)

				args := edge(offload, "--join", h1.Addr.String())
				if host == h1 {
					args = edge(offload, "--join", h2.Addr.String())
				}
				end.stop(host.Daemon)
				host.Start(args...).WaitReady(ready)
				talk.GoesOn(t, 10*time.Second, 50)
				if err := talk.Stop(); err != nil {
					t.Errorf("the TCP connection broke: %v", err)
				}
				for _, p := range pings {
					c := p.Stop()
					t.Logf("pings: %v", c)
					if len(c.Errors) != 0 { // they would break new connections at once
						t.Errorf("instead of being lost, pings were answered: %v", c.Errors)
					}
					if lost := time.Duration(c.Lost) * 10 * time.Millisecond; lost > time.Second {
						t.Errorf("pings of %v lost: %v", lost, c)
					}
				}
				for i, c := range leaks {
					if n := c.Packets(); n != 0 {
						t.Errorf("host%d sent %d packets of the overlay to its default route", i+1, n)
					}
				}
				if gone := watch.Stop(); len(gone) != 0 {
					t.Errorf("device, address or route went away: %q", gone)
				}
				if host.Lease() != lease {
					t.Errorf("the lease became %v, it was %v", host.Lease(), lease)
				}
			})
		}
	}
}

// The kernel carries packets while the daemon is replaced: not one is lost, and
// not one takes another way.
func TestRestartLosesNothingOnKernelPaths(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, backend string) {
		_, p1, p2 := joined(t, backend)
		h1, h2 := p1.Host, p2.Host
		route := h1.KernelPath(h2)
		nothingLost := pingBothWays(t, p1, p2, 5*time.Millisecond)
		talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
		for _, end := range []func(*lab.Daemon){func(d *lab.Daemon) { d.Stop() }, (*lab.Daemon).Kill} {
			for _, hosts := range [][2]*lab.Host{{h1, h2}, {h2, h1}} {
				end(hosts[0].Daemon)
				hosts[0].Start("--backend", backend, "--join", hosts[1].Addr.String()).WaitReady(ready)
				time.Sleep(time.Second) // so that the new one has proven its paths
			}
		}
		talk.GoesOn(t, 10*time.Second, 50)
		if err := talk.Stop(); err != nil {
			t.Errorf("the TCP connection broke: %v", err)
		}
		nothingLost("restarts")
		if now := h1.KernelPath(h2); now != route {
			t.Errorf("the route is %q, it was %q", now, route)
		}
	})
}

func TestNothingLeaksToTheDefaultRouteWhileTheDaemonIsDown(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t, "--shortcut", "off") // its programs go on without the daemon
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	leaks := h1.CountLeaks(lab.Overlay)
	for _, stop := range []func(){func() { h1.Daemon.Stop() }, func() { h1.Daemon.Kill() }} {
		stop()
		for range 5 {
			if a := p1.Ping(t, lab.Echo{To: p2.Addr, Wait: 100 * time.Millisecond}); a.Type == 0 && a.From.IsValid() {
				t.Error("a reply without a daemon")
			}
		}
		if n := leaks.Packets(); n != 0 {
			t.Errorf("%d packets leaked", n)
		}
		h1.Start("--shortcut", "off").WaitReady(ready)
		p1.Reachable(t, p2.Addr, 5*time.Second)
	}
}

func TestLeaseSurvivesPowerLossOfAllHosts(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Trio()
	hosts := []*lab.Host{h1, h2, h3}
	leases := map[*lab.Host]netip.Prefix{}
	for _, h := range hosts {
		leases[h] = h.Lease()
	}
	for _, h := range hosts {
		h.Daemon.Kill()
	}
	for _, h := range hosts { // a reboot: nothing in /run, no device
		h.Exec(t, "sh", "-c", "rm -rf "+h.RunDir+"/*; ip link delete flannel0; iptables -F; iptables -t nat -F; iptables -t raw -F")
	}
	for _, h := range hosts {
		if h == h1 {
			h.Start()
		} else {
			h.Start("--join", h1.Addr.String())
		}
	}
	for _, h := range hosts {
		h.Daemon.WaitReady(2 * ready)
		if h.Lease() != leases[h] {
			t.Errorf("%s has %v, it had %v", h.NodeName, h.Lease(), leases[h])
		}
	}
	l.WaitConverged(3)
	h1.Pod().Reachable(t, h3.Pod().Addr, 5*time.Second)
}

func TestHostStartsWithNoOtherReachable(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, _ := l.Trio()
	lease := h2.Lease()
	h2.Daemon.Stop()
	l.Cut(h2)
	d := h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	if h2.Lease() != lease {
		t.Errorf("alone it has %v, it had %v", h2.Lease(), lease)
	}
	var r lab.Route
	if err := h2.JSON(&r, "route", "get", h1.Lease().Addr().Next().String()); err != nil || r.Node.Name != "host1" {
		t.Errorf("it has forgotten host1: %+v, %v", r, err)
	}
	l.Heal(h2)
	l.WaitConverged(3)
	h2.Pod().Reachable(t, h1.Pod().Addr, 10*time.Second)
	if d.Ended() {
		t.Error("the daemon ended")
	}
}

// TestHostForwardsByItsTableBeforeItMeetsOthers: the table on disk counts
// until another node sends newer records.
func TestHostForwardsByItsTableBeforeItMeetsOthers(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, _ := l.Trio()
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	h2.Daemon.Stop()
	// Gossip is cut off at host2, data is not. The other nodes have not noticed
	// yet.
	h2.Exec(t, "sh", "-c", "for p in tcp udp; do iptables -I INPUT -p $p --dport 8286 -j DROP; iptables -I OUTPUT -p $p --dport 8286 -j DROP; done")
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	sink := p1.ListenUDP(t, at(p1.Addr, 7000))
	defer sink.Close()
	source := p2.ListenUDP(t, at(p2.Addr, 0))
	defer source.Close()
	if _, err := source.WriteToUDPAddrPort([]byte("from memory"), at(p1.Addr, 7000)); err != nil {
		t.Fatal(err)
	}
	sink.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, _, err := sink.ReadFromUDPAddrPort(make([]byte, 100)); err != nil {
		t.Errorf("nothing arrived: %v; host2 says %v", err, h2.Status().Drops)
	}
}

func TestAddressChangeKeepsTheLease(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Trio()
	lease := h2.Lease()
	p1, p2 := h1.Pod(), h2.Pod()
	h2.Daemon.Stop()
	h2.Exec(t, "ip", "address", "flush", "dev", "eth0")
	h2.Exec(t, "ip", "address", "add", "192.168.50.72/24", "dev", "eth0")
	h2.Exec(t, "ip", "route", "replace", "default", "via", lab.Gateway.String())
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	if h2.Lease() != lease {
		t.Errorf("with another address it has %v, it had %v", h2.Lease(), lease)
	}
	for _, h := range []*lab.Host{h1, h3} {
		lab.Eventually(t, 20*time.Second, h.NodeName+" to know the new endpoint", func() error {
			nodes, err := h.Nodes()
			if err != nil {
				return err
			}
			n := nodes.Find("host2")
			return lab.Expect(n.Endpoint == "192.168.50.72:8285" && n.State == "alive" && n.Subnet == lease.String(), "%+v", n)
		})
	}
	p1.Reachable(t, p2.Addr, 5*time.Second)
	p2.Reachable(t, h3.Pod().Addr, 5*time.Second)
}

func TestDeadHostsSubnetIsReclaimedAfterTheLeaseTTL(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2, h3 := l.Trio("--lease-ttl", "8s", "--subnet-min", "10.244.1.0", "--subnet-max", "10.244.3.0")
	freed := h3.Lease()
	h3.Daemon.Kill()
	h4 := l.Host()
	d := h4.Start("--join", h1.Addr.String(), "--lease-ttl", "8s") // all three are taken until then
	d.WaitReady(90 * time.Second)
	if h4.Lease() != freed {
		t.Errorf("host4 has %v, free was %v", h4.Lease(), freed)
	}
	for _, h := range []*lab.Host{h1, h2} {
		if h.Lease() == freed {
			t.Errorf("%s lost its lease", h.NodeName)
		}
	}
}

func TestStopsInOrderWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		t.Run(fmt.Sprint(sig), func(t *testing.T) {
			t.Parallel()
			_, h := founder(t)
			h.Daemon.Signal(sig)
			start := time.Now()
			if status := h.Daemon.WaitEnd(7 * time.Second); status != 0 {
				t.Errorf("exit status %d", status)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("stopping took %v", took)
			}
			mentions(t, "flannel0 after a stop", h.Exec(t, "ip", "-4", "address", "show", "flannel0"), h.Lease().Addr().String()+"/32")
		})
	}
}

func TestStopsWhileItWaitsForASeed(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	d := h.Start("--join", "192.168.50.250")
	d.WaitLog("192.168.50.250", ready)
	if status := d.Stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	nothingSetUp(t, h)
}

func TestDeletedDeviceComesBack(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	for what, command := range map[string]string{
		"the route": "ip route delete 10.244.0.0/16 dev flannel0",
		"address":   "ip address flush dev flannel0",
		"down":      "ip link set flannel0 down",
		"deleted":   "ip link delete flannel0",
		"mtu":       "ip link set flannel0 mtu 900",
	} {
		h1.Exec(t, "sh", "-c", command)
		lab.Eventually(t, 10*time.Second, what+" to be put back", func() error {
			link := h1.Run(t, "ip", "-4", "address", "show", "flannel0").Stdout
			route := h1.Exec(t, "ip", "route", "show", "10.244.0.0/16")
			whole := containsFold(link, h1.Lease().Addr().String()+"/32") && containsFold(link, "mtu 1472") &&
				containsFold(link, ",UP") && containsFold(route, "dev flannel0")
			return lab.Expect(whole, "%s%s", link, route)
		})
		p1.Reachable(t, p2.Addr, 10*time.Second)
	}
	if h1.Daemon.Ended() {
		t.Error("the daemon ended")
	}
}
