// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"flanneld/test/lab"
)

// outsideKnows gives the outside a route back to the host's containers, so that
// it sees their addresses without masquerading.
func outsideKnows(t *testing.T, l *lab.Lab, h *lab.Host) {
	l.Outside.Exec(t, "ip", "route", "add", h.Lease().String(), "via", "203.0.113.1")
	l.Switch.Exec(t, "ip", "route", "add", h.Lease().String(), "via", h.Addr.String())
}

func TestMasqueradesToTheOutsideAndNotInside(t *testing.T) {
	t.Parallel()
	masquerades(t, "udp")
	eachBackend(t, masquerades)
}

func masquerades(t *testing.T, backend string) {
	l := lab.New(t)
	h1, h2, _ := l.Trio("--ip-masq", "--backend", backend)
	kernelCarries(t, backend, h1, h2)
	p1, p2 := h1.Pod(), h2.Pod()
	outsideKnows(t, l, h1)
	if got := lab.SendTCP(t, p1.Namespace, l.Outside, at(lab.OutsideAddress, 80), 100000); got.Source != h1.Addr {
		t.Errorf("the outside saw %v, want %v", got.Source, h1.Addr)
	}
	if got := lab.SendTCP(t, p1.Namespace, h2.Namespace, at(h2.Addr, 80), 1000); got.Source != h1.Addr {
		t.Errorf("the underlay saw %v, want %v", got.Source, h1.Addr)
	}
	if got := lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 80), 100000); got.Source != p1.Addr {
		t.Errorf("inside, %v arrived as %v", p1.Addr, got.Source)
	}
	if got := lab.SendTCP(t, p1.Namespace, h2.Namespace, at(h2.Lease().Addr(), 80), 1000); got.Source != p1.Addr {
		t.Errorf("at the other host's overlay address, %v arrived as %v", p1.Addr, got.Source)
	}
	if h1.SubnetFile()["FLANNEL_IPMASQ"] != "true" {
		t.Error("subnet.env does not say so")
	}
}

func TestWithoutIPMasqNothingIsMasqueraded(t *testing.T) {
	t.Parallel()
	l, h := founder(t)
	p := h.Pod()
	outsideKnows(t, l, h)
	if got := lab.SendTCP(t, p.Namespace, l.Outside, at(lab.OutsideAddress, 80), 1000); got.Source != p.Addr {
		t.Errorf("the outside saw %v, want %v", got.Source, p.Addr)
	}
}

// TestOtherNetworksReachTheOverlay: containers of a host's other networks, as
// of `docker network create`, reach the overlay by the host's address in it.
// Docker masquerades them, by the address of the device that they leave by.
func TestOtherNetworksReachTheOverlay(t *testing.T) {
	t.Parallel()
	otherNetworks(t, "udp")
	eachBackend(t, otherNetworks)
}

func otherNetworks(t *testing.T, backend string) {
	_, h1, h2 := duo(t, "--backend", backend)
	kernelCarries(t, backend, h1, h2)
	p2 := h2.Pod()
	// As Docker 28 has it for each container.
	h2.Exec(t, "iptables", "-w", "-t", "raw", "-A", "PREROUTING", "-d", p2.Addr.String(), "!", "-i", "docker0", "-j", "DROP")
	other := otherBridge(t, h1)
	other.Reachable(t, p2.Addr, 5*time.Second)
	if got := lab.SendTCP(t, other, p2.Namespace, at(p2.Addr, 80), 100000); got.Source != h1.Lease().Addr() {
		t.Errorf("a container of another network arrived as %v, want %v", got.Source, h1.Lease().Addr())
	}
}

// TestConnectionsOfOtherNetworksOutliveAChangeOfPath: the kernel ends what is
// masqueraded when it leaves by another device than it began.
func TestConnectionsOfOtherNetworksOutliveAChangeOfPath(t *testing.T) {
	for _, c := range cuts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, h1, h2 := duo(t, "--backend", c.backend)
			kernelCarries(t, c.backend, h1, h2)
			p2 := h2.Pod()
			other := otherBridge(t, h1)
			other.Reachable(t, p2.Addr, 5*time.Second)
			talk := lab.Converse(t, other, p2.Namespace, at(p2.Addr, 7000))
			l.Drop(c.drop)
			lab.Eventually(t, 5*left, "the path to be left", func() error {
				used := node(t, h1, h2).PathInUse()
				return lab.Expect(used != c.path, "still %s", used)
			})
			talk.GoesOn(t, 10*time.Second, 20)
			l.Mend()
			if err := talk.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRulesComeBackAfterAFlush(t *testing.T) {
	t.Parallel()
	rulesComeBack(t, "udp")
	eachBackend(t, rulesComeBack)
}

func rulesComeBack(t *testing.T, backend string) {
	l := lab.New(t)
	h1, h2, _ := l.Trio("--ip-masq", "--backend", backend)
	kernelCarries(t, backend, h1, h2)
	// As Docker 28 has it for each container.
	unbridged := "raw -%s PREROUTING -d " + h1.Lease().String() + " ! -i docker0 -j DROP"
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	h1.Exec(t, "iptables", "-P", "FORWARD", "DROP") // as Docker sets it
	p1.Reachable(t, p2.Addr, 5*time.Second)
	want := firewall(t, h1)
	for _, flush := range []string{
		"iptables -F; iptables -t nat -F; iptables -t raw -F",
		"for t in filter nat raw; do iptables -t $t -F; iptables -t $t -X; done",
		"iptables -I FORWARD -j DROP; iptables -t nat -I POSTROUTING -j MASQUERADE; iptables -t " + fmt.Sprintf(unbridged, "I"),
	} {
		h1.Exec(t, "sh", "-c", flush)
		lab.Eventually(t, 10*time.Second, "containers to reach each other after "+flush, func() error {
			a := p1.Ping(t, lab.Echo{To: p2.Addr, Wait: 300 * time.Millisecond})
			return lab.Expect(a.Type == 0 && a.From == p2.Addr, "%v", a)
		})
		lab.Eventually(t, 10*time.Second, "no masquerading inside after "+flush, func() error {
			got := lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 80), 1000)
			return lab.Expect(got.Source == p1.Addr, "source %v with\n%s", got.Source, firewall(t, h1))
		})
	}
	h1.Exec(t, "sh", "-c", "iptables -D FORWARD -j DROP; iptables -t nat -D POSTROUTING -j MASQUERADE; iptables -t "+fmt.Sprintf(unbridged, "D"))
	lab.Eventually(t, 10*time.Second, "the rules to be as before", func() error {
		now := firewall(t, h1)
		return lab.Expect(now == want, "%s\nwanted\n%s", now, want)
	})
	kernelCarriesWithin(t, again, backend, h1, h2)
}

func TestRulesDoNotGrowByRestarts(t *testing.T) {
	t.Parallel()
	_, h := founder(t, "--ip-masq")
	want := firewall(t, h)
	for i := range 4 {
		if i%2 == 0 {
			h.Daemon.Kill()
		} else {
			h.Daemon.Stop()
		}
		h.Start("--ip-masq").WaitReady(ready)
	}
	if now := firewall(t, h); now != want {
		t.Errorf("after four restarts\n%s\nbefore\n%s", now, want)
	}
	h.Daemon.Stop()
	h.Start().WaitReady(ready)
	if now := firewall(t, h); containsFold(now, "masquerade") {
		t.Errorf("masquerading without --ip-masq:\n%s", now)
	}
}
