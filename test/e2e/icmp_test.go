// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"flanneld/test/lab"
)

// answered fails the test unless the answer is that ICMP message, from the
// overlay address of the pod's own host.
func answered(t *testing.T, what string, a lab.Answer, from *lab.Host, kind ipv4.ICMPType, code int) {
	t.Helper()
	if a.Type != kind || a.Code != code || a.From != from.Lease().Addr() {
		t.Errorf("%s: %v, want %v code %d from %v", what, a, kind, code, from.Lease().Addr())
	}
}

func TestSubnetWithoutHolderIsNetUnreachable(t *testing.T) {
	t.Parallel()
	extremes(t, subnetWithoutHolderIsNetUnreachable)
}

func subnetWithoutHolderIsNetUnreachable(t *testing.T, offload string) {
	_, h := founder(t, edge(offload)...)
	pod := h.Pod()
	nowhere := unheld(h)
	answered(t, "a ping to nowhere", pod.Ping(t, lab.Echo{To: nowhere}), h, ipv4.ICMPTypeDestinationUnreachable, lab.NetUnreachable)
	answered(t, "a host's ping to nowhere", h.Ping(t, lab.Echo{To: nowhere}), h, ipv4.ICMPTypeDestinationUnreachable, lab.NetUnreachable)
	start := time.Now()
	if conn, err := pod.Dial(at(nowhere, 80), 5*time.Second); err == nil {
		conn.Close()
		t.Error("connected to nowhere")
	} else if time.Since(start) > 2*time.Second {
		t.Errorf("a connection to nowhere took %v to fail: %v", time.Since(start), err)
	}
	if _, reasons := dropped(h); len(reasons) == 0 {
		t.Error("nothing counted")
	}
}

func TestDeadNodeIsHostUnreachableAndItsRouteStays(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, _, h3 := l.Trio()
	p1, p3 := h1.Pod(), h3.Pod()
	p1.Reachable(t, p3.Addr, 5*time.Second)
	subnet := h3.Lease()
	h3.Daemon.Kill()
	h1.WaitState("host3", "dead", 30*time.Second)
	lab.Eventually(t, 2*time.Second, "host unreachable", func() error {
		a := p1.Ping(t, lab.Echo{To: p3.Addr})
		return lab.Expect(a.Type == ipv4.ICMPTypeDestinationUnreachable && a.Code == lab.HostUnreachable, "%v", a)
	})
	var r lab.Route
	if err := h1.JSON(&r, "route", "get", p3.Addr.String()); err != nil || r.Kind != "unreachable" || r.Prefix != subnet.String() {
		t.Errorf("route to the dead node: %+v, %v", r, err)
	}
	h3.Start().WaitReady(ready)
	if h3.Lease() != subnet {
		t.Errorf("after a reboot host3 has %v instead of %v", h3.Lease(), subnet)
	}
	p1.Reachable(t, p3.Addr, 5*time.Second)
}

// The kernel of a node without a daemon goes on carrying packets. That of a
// node without a network does not: then senders are told.
func TestDeadNodeIsHostUnreachableOnKernelPaths(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, backend string) {
		l, p1, p2 := joined(t, backend)
		h1, h2 := p1.Host, p2.Host
		h2.Daemon.Kill()
		h1.WaitState(h2.NodeName, "dead", 30*time.Second)
		p1.Reachable(t, p2.Addr, 5*time.Second)
		l.Cut(h2)
		start := time.Now()
		lab.Eventually(t, leftIdle, "host unreachable", func() error {
			a := p1.Ping(t, lab.Echo{To: p2.Addr})
			return lab.Expect(a.Type == ipv4.ICMPTypeDestinationUnreachable && a.Code == lab.HostUnreachable && a.From == h1.Lease().Addr(), "%v", a)
		})
		t.Logf("host unreachable after %v", time.Since(start).Round(100*time.Millisecond))
		if route := h1.KernelPath(h2); route != "" {
			t.Errorf("the kernel sends to it by %s", route)
		}
		l.Heal(h2)
		h2.Start("--backend", backend, "--join", h1.Addr.String()).WaitReady(ready)
		p1.Reachable(t, p2.Addr, 5*time.Second)
		h1.WaitKernelPath(h2, again)
		p1.Reachable(t, p2.Addr, 5*time.Second)
	})
}

func TestTimeToLiveIsCountedAndExceeded(t *testing.T) {
	t.Parallel()
	extremes(t, timeToLiveIsCountedAndExceeded)
}

func timeToLiveIsCountedAndExceeded(t *testing.T, offload string) {
	_, h1, h2 := duo(t, edge(offload)...)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	// Hop 1 is the host's bridge, hop 2 flanneld, hop 3 the far host.
	answered(t, "TTL 2", p1.Ping(t, lab.Echo{To: p2.Addr, TTL: 2}), h1, ipv4.ICMPTypeTimeExceeded, 0)
	answered(t, "TTL 3", p1.Ping(t, lab.Echo{To: p2.Addr, TTL: 3}), h2, ipv4.ICMPTypeTimeExceeded, 0)
	if a := p1.Ping(t, lab.Echo{To: p2.Addr, TTL: 4}); a.Type != ipv4.ICMPTypeEchoReply {
		t.Errorf("TTL 4: %v", a)
	}
}

func TestErrorsAreRateLimited(t *testing.T) {
	t.Parallel()
	extremes(t, errorsAreRateLimited)
}

func errorsAreRateLimited(t *testing.T, offload string) {
	_, h := founder(t, edge(offload)...)
	pod := h.Pod()
	nowhere := at(unheld(h), 9)
	socket := pod.ListenUDP(t, at(pod.Addr, 0))
	defer socket.Close()
	const sent = 50000
	start := time.Now()
	for range sent {
		socket.WriteToUDPAddrPort([]byte("flood"), nowhere)
	}
	lab.Eventually(t, 20*time.Second, "the drops to be counted", func() error {
		sum, reasons := dropped(h)
		return lab.Expect(sum > sent/10, "%v", reasons)
	})
	// As many as Linux allows itself: 1000 a second and a burst.
	seconds := time.Since(start).Seconds()
	if n := unreachables(t, pod); n == 0 || float64(n) > 1000*(seconds+1) {
		t.Errorf("%d ICMP errors for %d packets to nowhere in %.1f s", n, sent, seconds)
	}
}

// The kernel forwards by a kernel path: the far host comes one hop earlier. A
// subnet without a holder stays with flanneld.
func TestErrorsOverKernelPaths(t *testing.T) {
	t.Parallel()
	eachBackend(t, func(t *testing.T, backend string) {
		_, p1, p2 := joined(t, backend)
		h1, h2 := p1.Host, p2.Host
		answered(t, "TTL 2", p1.Ping(t, lab.Echo{To: p2.Addr, TTL: 2}), h2, ipv4.ICMPTypeTimeExceeded, 0)
		if a := p1.Ping(t, lab.Echo{To: p2.Addr, TTL: 3}); a.Type != ipv4.ICMPTypeEchoReply {
			t.Errorf("TTL 3: %v", a)
		}
		nowhere := unheld(h1, h2)
		answered(t, "a ping to nowhere", p1.Ping(t, lab.Echo{To: nowhere}), h1, ipv4.ICMPTypeDestinationUnreachable, lab.NetUnreachable)
		answered(t, "a host's ping to nowhere", h1.Ping(t, lab.Echo{To: nowhere}), h1, ipv4.ICMPTypeDestinationUnreachable, lab.NetUnreachable)
		// No pod has the address: the far host says so after it has asked.
		absent := p2.Addr.Next().Next()
		if a := p1.Ping(t, lab.Echo{To: absent, Wait: 5 * time.Second}); a.Type != ipv4.ICMPTypeDestinationUnreachable || a.Code != lab.HostUnreachable {
			t.Errorf("an address without a pod: %v", a)
		}
	})
}

// unreachables is how many "destination unreachable" the pod has been sent.
func unreachables(t *testing.T, pod *lab.Pod) int {
	t.Helper()
	var names []string
	for line := range strings.Lines(pod.Exec(t, "cat", "/proc/net/snmp")) {
		fields := strings.Fields(line)
		if fields[0] != "Icmp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		n, err := strconv.Atoi(fields[slices.Index(names, "InDestUnreachs")])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Fatal("no counter in /proc/net/snmp")
	return 0
}

// overSmallerPath makes two pods that reach each other over an underlay which
// in one place takes packets of up to mtu bytes only.
func overSmallerPath(t *testing.T, offload string, mtu int) (p1, p2 *lab.Pod) {
	t.Helper()
	l := lab.New(t)
	h1, h2 := l.Host(), l.HostBehind(mtu)
	h1.Start(edge(offload)...).WaitReady(ready)
	h2.Start(edge(offload, "--join", h1.Addr.String())...).WaitReady(ready)
	l.WaitConverged(2)
	p1, p2 = h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	return p1, p2
}

func TestSmallerPathIsAnsweredWithTheRightMTU(t *testing.T) {
	t.Parallel()
	extremes(t, smallerPathIsAnsweredWithTheRightMTU)
}

func smallerPathIsAnsweredWithTheRightMTU(t *testing.T, offload string) {
	p1, p2 := overSmallerPath(t, offload, 1400)
	const fits = 1400 - 28
	for _, way := range []struct{ from, to *lab.Pod }{{p1, p2}, {p2, p1}} {
		// The first large packet shows flanneld the path MTU. It has to be
		// answered itself, or a later one has: no black hole.
		lab.Eventually(t, 5*time.Second, "fragmentation needed", func() error {
			a := way.from.Ping(t, lab.Echo{To: way.to.Addr, Size: 1472})
			return lab.Expect(a.Code == lab.FragmentationNeeded && a.MTU == fits && a.From == way.from.Host.Lease().Addr(), "%v", a)
		})
		if a := way.from.Ping(t, lab.Echo{To: way.to.Addr, Size: fits + 1}); a.MTU != fits {
			t.Errorf("one byte too many: %v", a)
		}
		if a := way.from.Ping(t, lab.Echo{To: way.to.Addr, Size: fits}); a.Type != ipv4.ICMPTypeEchoReply {
			t.Errorf("a packet that fits exactly: %v", a)
		}
		lab.Eventually(t, 5*time.Second, "a large packet that may be fragmented", func() error {
			a := way.from.Ping(t, lab.Echo{To: way.to.Addr, Size: 1472, Fragment: true})
			return lab.Expect(a.Type == ipv4.ICMPTypeEchoReply, "%v", a)
		})
		lab.SendTCP(t, way.from.Namespace, way.to.Namespace, at(way.to.Addr, 7000), 8<<20)
		lab.SendUDP(t, way.from.Namespace, way.to.Namespace, at(way.to.Addr, 7000), 10, 9000)
	}
}

// An underlay that takes smaller packets in one place is no black hole where
// kernel paths are in use: what does not fit is answered, or arrives in pieces.
// Directly packets do not go there at all.
func TestSmallerUnderlayIsNoBlackHoleWithKernelPaths(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"vxlan", "vxlan,udp", "auto"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			h1, h2 := l.Host(), l.HostBehind(1400)
			h1.Start("--backend", backend).WaitReady(ready)
			h2.Start("--backend", backend, "--join", h1.Addr.String()).WaitReady(ready)
			l.WaitConverged(2)
			p1, p2 := h1.Pod(), h2.Pod()
			p1.Reachable(t, p2.Addr, proven)
			goesThrough := func() {
				t.Helper()
				for _, way := range [][2]*lab.Pod{{p1, p2}, {p2, p1}} {
					from, to := way[0], way[1]
					if took := lab.SendTCP(t, from.Namespace, to.Namespace, at(to.Addr, 7000), 8<<20).Time; took > 10*time.Second {
						t.Errorf("8 MB took %v", took)
					}
					lab.SendUDP(t, from.Namespace, to.Namespace, at(to.Addr, 7000), 10, 9000)
					lab.Eventually(t, 5*time.Second, "a packet of the full length, or its answer", func() error {
						a := from.Ping(t, lab.Echo{To: to.Addr, Size: 1450})
						small := a.Type == ipv4.ICMPTypeDestinationUnreachable && a.Code == lab.FragmentationNeeded && a.MTU >= 1300
						return lab.Expect(small || a.From == to.Addr && a.Type == ipv4.ICMPTypeEchoReply, "%v", a)
					})
				}
			}
			goesThrough()
			time.Sleep(8 * time.Second) // until all is proven that can be
			goesThrough()
			kernelCarries(t, "vxlan", h1, h2)
		})
	}
}

func TestFirstTransferOverASmallerPathIsNoBlackHole(t *testing.T) {
	t.Parallel()
	extremes(t, firstTransferOverASmallerPathIsNoBlackHole)
}

func firstTransferOverASmallerPathIsNoBlackHole(t *testing.T, offload string) {
	p1, p2 := overSmallerPath(t, offload, 1300)
	if took := lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 4<<20).Time; took > 10*time.Second {
		t.Errorf("4 MB took %v", took)
	}
	if took := lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000), 4<<20).Time; took > 10*time.Second {
		t.Errorf("4 MB the other way took %v", took)
	}
}

func TestPacketLargerThanTheDeviceIsAnsweredByTheKernel(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t, "--mtu", "1300")
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Exec(t, "ip", "link", "set", "eth0", "mtu", "1472")
	h1.Exec(t, "ip", "link", "set", "pod1", "mtu", "1472")
	h1.Exec(t, "ip", "link", "set", "docker0", "mtu", "1472")
	if a := p1.Ping(t, lab.Echo{To: p2.Addr, Size: 1400}); a.Code != lab.FragmentationNeeded || a.MTU != 1300 {
		t.Errorf("1400 bytes into a device of 1300: %v", a)
	}
}

func TestIPv6OnTheOverlayIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	extremes(t, ipv6OnTheOverlayIsDroppedAndCounted)
}

func ipv6OnTheOverlayIsDroppedAndCounted(t *testing.T, offload string) {
	_, h1, h2 := duo(t, edge(offload)...)
	p1, p2 := h1.Pod(), h2.Pod()
	h1.Sysctl(t, "net.ipv6.conf.flannel0.disable_ipv6", "0")
	h1.Exec(t, "ip", "-6", "address", "add", "fd00::1/128", "dev", "flannel0")
	h1.Exec(t, "ip", "-6", "route", "add", "fd00:99::/32", "dev", "flannel0")
	before, _ := dropped(h1)
	h1.Run(t, "ping", "-6", "-c", "3", "-i", "0.2", "-W", "1", "fd00:99::5")
	dropsGrow(t, h1, before, 3)
	_, reasons := dropped(h1)
	found := false
	for reason := range reasons {
		found = found || containsFold(reason, "ipv6")
	}
	if !found {
		t.Errorf("no reason names IPv6: %v", reasons)
	}
	p1.Reachable(t, p2.Addr, 5*time.Second)
}
