// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"flanneld/test/lab"
)

type weather struct {
	name string
	lab.Weather
	relay lab.Mischief // one in so many
}

// weathers are underlays as between sites. If the kernel has no netem, the
// lab's relay does the same except for delays.
var weathers = []weather{
	{"delay and loss", lab.Weather{Delay: 40 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 3}, lab.Mischief{Loss: 33, Seed: 1}},
	{"reordering", lab.Weather{Delay: 5 * time.Millisecond, Reorder: 20, Duplicate: 2}, lab.Mischief{Reordering: 20, Duplication: 50, Seed: 2}},
}

// A node joins over a bad underlay, no node is declared dead there, and TCP
// data arrives whole.
func TestNetworkOverAnUnderlayThatLosesDelaysAndReorders(t *testing.T) {
	t.Parallel()
	for _, w := range weathers {
		t.Run(w.name, func(t *testing.T) { w.scenario(t, "udp") })
	}
}

// A bad underlay is no reason to leave a kernel path.
func TestKernelPathsOverAnUnderlayThatLosesDelaysAndReorders(t *testing.T) {
	t.Parallel()
	paths := backends
	if lab.New(t).HasIPIP() {
		paths = append(slices.Clone(backends), "ipip,udp")
	} else {
		t.Log("NOT TESTED: ipip: this kernel does not have it")
	}
	for _, backend := range paths {
		for _, w := range weathers {
			t.Run(backend+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				w.scenario(t, backend)
			})
		}
	}
}

func (w weather) scenario(t *testing.T, backend string) {
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	netem := l.HasNetem()
	if netem {
		l.Weather(h2, w.Weather)
	} else {
		t.Logf("NOT TESTED: delays: this kernel has no netem")
		l.Relay(h2, w.relay)
	}
	h1.Start("--backend", backend).WaitReady(ready)
	h2.Start("--backend", backend, "--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	kernelCarries(t, backend, h1, h2)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, ready)
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 512<<10)
	lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000), 512<<10)
	if netem {
		delayIsSeen(t, p1, p2, w.Weather)
		if sent, lost := l.WeatherCount(h2); (lost > 0) != (w.Loss > 0) {
			t.Errorf("the underlay lost %d frames of %d", lost, sent)
		}
	}
	stayAlive(t, l, 5*time.Second)
	kernelCarries(t, backend, h1, h2)
}

// delayIsSeen pings from pod to pod: the underlay's delay, both ways, is in the
// time that an answer takes.
func delayIsSeen(t *testing.T, from, to *lab.Pod, w lab.Weather) {
	t.Helper()
	if w.Reorder > 0 {
		return // some frames are not delayed
	}
	least := 2 * (w.Delay - w.Jitter)
	lab.Eventually(t, ready, "an answer", func() error {
		a := from.Ping(t, lab.Echo{To: to.Addr})
		if a.From == to.Addr && a.Time < least {
			t.Errorf("an answer after %v, the underlay takes %v", a.Time, least)
		}
		return lab.Expect(a.From == to.Addr, "%v", a)
	})
}

// stayAlive watches the tables for a while: no node is reported as dead.
func stayAlive(t *testing.T, l *lab.Lab, while time.Duration) {
	t.Helper()
	hosts := l.Hosts()
	for end := time.Now().Add(while); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		for _, h := range hosts {
			nodes, err := h.Nodes()
			if err != nil {
				t.Fatal(err)
			}
			// Suspect is a node that has not answered once, which is what lost
			// datagrams do.
			up := 0
			for _, n := range nodes.Nodes {
				if n.State == "alive" || n.State == "suspect" {
					up++
				}
			}
			if table, _ := nodes.Summary(); up != len(hosts) {
				t.Fatalf("%s sees %d nodes of %d that are not dead: %s", h.NodeName, up, len(hosts), table)
			}
		}
	}
}

// Some distributions turn on strict reverse path filtering. It passes a packet
// that arrives by the way that answers would take. That includes all overlay
// packets, and flanneld's own ICMP.
func TestStrictReversePathFilterDropsNothing(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	for _, h := range []*lab.Host{h1, h2} {
		for _, what := range []string{"all", "default", "eth0"} {
			h.Sysctl(t, "net.ipv4.conf."+what+".rp_filter", "1")
		}
	}
	h1.Start("--ip-masq").WaitReady(ready)
	h2.Start("--ip-masq", "--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, ready)
	for _, h := range []*lab.Host{h1, h2} {
		if got := h.ReadSysctl(t, "net.ipv4.conf.all.rp_filter"); got != "1" {
			t.Errorf("%s: rp_filter of all is %s, it was 1", h.NodeName, got)
		}
	}
	h1.Reachable(t, p2.Addr, ready)            // host to remote pod
	p1.Reachable(t, h2.Lease().Addr(), ready)  // pod to remote host
	p1.Reachable(t, lab.OutsideAddress, ready) // and to the outside, masqueraded
	h1.Reachable(t, h2.Lease().Addr(), ready)  // host to host
	lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000), 1<<20)
	nowhere := unheld(h1, h2)
	answered(t, "a ping to a subnet that no node has", p1.Ping(t, lab.Echo{To: nowhere}), h1, ipv4.ICMPTypeDestinationUnreachable, lab.NetUnreachable)
}
