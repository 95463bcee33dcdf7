// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"flanneld/test/lab"
)

// Time limits of kernel paths.
const (
	proven = 15 * time.Second // from the start of a daemon to the use of a path
	left   = 5 * time.Second  // from a cut to the end of a path's use, under traffic
	// leftIdle is the same without traffic.
	leftIdle = 40 * time.Second
	// again is from the end of a cut to the use of the path. The first trial
	// comes 30 s after the path was left, with jitter.
	again = 60 * time.Second
	// putBack is how long what another program removed may be missing.
	putBack = time.Second
)

// kernelPaths are backends with kernel paths that every kernel has, and what
// the route of each has in it.
var kernelPaths = []struct{ backend, path, route string }{
	{"host-gw", "direct", " dev eth0 "},
	{"vxlan", "vxlan", " dev flannel.1 "},
	{"auto", "direct", " dev eth0 "},
	{"vxlan,udp", "vxlan", " dev flannel.1 "},
}

// joined starts two hosts with a backend and a pod on each. It waits until the
// kernel carries packets between them, both ways, by the backend's first path.
func joined(t *testing.T, backend string) (l *lab.Lab, p1, p2 *lab.Pod) {
	t.Helper()
	l, h1, h2 := duo(t, "--backend", backend)
	kernelCarries(t, backend, h1, h2)
	p1, p2 = h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	return l, p1, p2
}

// carried is how many packets flanneld itself has carried from a host.
func carried(t *testing.T, h *lab.Host) uint64 {
	t.Helper()
	return h.Status().Egress.Packets
}

// node is the line of another host in the node table of this one.
func node(t *testing.T, h, other *lab.Host) lab.Node {
	t.Helper()
	nodes, err := h.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	n := nodes.Find(other.NodeName)
	if n.Name == "" {
		t.Fatalf("%s does not know %s", h.NodeName, other.NodeName)
	}
	return n
}

func TestKernelCarriesPacketsByAProvenPath(t *testing.T) {
	for _, c := range kernelPaths {
		t.Run(c.backend, func(t *testing.T) {
			t.Parallel()
			_, p1, p2 := joined(t, c.backend)
			h1, h2 := p1.Host, p2.Host
			h1.WaitKernelPath(h2, proven, c.route, " src "+h1.Lease().Addr().String())
			before := carried(t, h1)
			for _, way := range [][2]*lab.Pod{{p1, p2}, {p2, p1}} {
				got := lab.SendTCP(t, way[0].Namespace, way[1].Namespace, at(way[1].Addr, 7000), 8<<20)
				if got.Source != way[0].Addr {
					t.Errorf("%v arrived as %v", way[0].Addr, got.Source)
				}
				lab.SendUDP(t, way[0].Namespace, way[1].Namespace, at(way[1].Addr, 7000), 20, 1300)
			}
			h1.Reachable(t, p2.Addr, 5*time.Second)
			p2.Reachable(t, h1.Lease().Addr(), 5*time.Second)
			if grown := carried(t, h1) - before; grown > 20 {
				t.Errorf("flanneld carried %d packets itself", grown)
			}
			if n := node(t, h1, h2); n.PathInUse() != c.path {
				t.Errorf("nodes says %q: %+v", n.PathInUse(), n.Paths)
			}
			mentions(t, "nodes", h1.MustFlanneld("nodes"), "PATH", c.path)
			mentions(t, "route get", h1.MustFlanneld("route", "get", p2.Addr.String()), c.path)
			ping := h1.Flanneld("ping", h2.NodeName)
			if ping.Status != 0 {
				t.Errorf("ping: exit status %d", ping.Status)
			}
			mentions(t, "ping", ping.Stdout, c.path)
			well(t, h1, 5*time.Second)
			well(t, h2, 5*time.Second)
		})
	}
}

// Nodes with different settings, and one of them without any, reach each other
// by what both have.
func TestNodesOfDifferentBackendsReachEachOther(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	settings := []string{"auto", "udp", "vxlan,udp", "host-gw,udp"}
	var hosts []*lab.Host
	for i, backend := range settings {
		h := l.Host()
		args := []string{"--backend", backend, "--mtu", "1400"}
		if i > 0 {
			args = append(args, "--join", hosts[0].Addr.String())
		}
		h.Start(args...).WaitReady(ready)
		hosts = append(hosts, h)
	}
	l.WaitConverged(len(hosts))
	paths := map[[2]int]string{{0, 2}: "vxlan", {0, 3}: "direct", {2, 0}: "vxlan", {3, 0}: "direct"}
	var pods []*lab.Pod
	for _, h := range hosts {
		pods = append(pods, h.Pod())
	}
	for i, from := range hosts {
		for j, to := range hosts {
			if i == j {
				continue
			}
			want := paths[[2]int{i, j}]
			if want == "" {
				want = "udp"
			}
			lab.Eventually(t, proven, fmt.Sprintf("%s (%s) to use %s to %s (%s)", from.NodeName, settings[i], want, to.NodeName, settings[j]), func() error {
				n := node(t, from, to)
				return lab.Expect(n.PathInUse() == want, "%+v", n.Paths)
			})
			pods[i].Reachable(t, pods[j].Addr, 5*time.Second)
		}
	}
}

// With a kernel backend alone there is nothing to fall back to. A node that has
// not that path is not reached, and both the node and the reason are named.
func TestSingleKernelBackendNamesTheNodeThatItDoesNotReach(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--backend", "vxlan")
	h2 := l.Host()
	h2.Start("--join", h1.Addr.String(), "--backend", "udp").WaitReady(ready)
	l.WaitConverged(2)
	p1, p2 := h1.Pod(), h2.Pod()
	ill(t, h1, noticed, h2.NodeName, "vxlan")
	mentions(t, "nodes", h1.MustFlanneld("nodes"), "vxlan")
	answered(t, "a packet to the other", p1.Ping(t, lab.Echo{To: p2.Addr}), h1, ipv4.ICMPTypeDestinationUnreachable, 1)
	h2.Daemon.Stop()
	h2.Start("--join", h1.Addr.String(), "--backend", "vxlan").WaitReady(ready)
	p1.Reachable(t, p2.Addr, proven)
	well(t, h1, noticed)
}

// Another program removes what a path stands on, all the time. Each removal is
// a fall back to flanneld, each repair a return to the kernel. No packet is
// lost by either.
func TestChangesOfPathLoseNoPacket(t *testing.T) {
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			_, p1, p2 := joined(t, backend)
			pings := p1.StartPinging(t, p2.Addr, 4*time.Millisecond)
			const changes = 20 // and as many back
			for range changes {
				for _, hosts := range [][2]*lab.Host{{p1.Host, p2.Host}, {p2.Host, p1.Host}} {
					hosts[0].Exec(t, "ip", "route", "delete", hosts[1].Lease().String(), "proto", "85")
				}
				p1.Host.WaitKernelPath(p2.Host, 5*time.Second)
				p2.Host.WaitKernelPath(p1.Host, 5*time.Second)
			}
			count := pings.Stop()
			t.Logf("%d changes of path on each host: %v", 2*changes, count)
			if count.Sent < 1000 || count.Lost != 0 || len(count.Errors) != 0 {
				t.Errorf("%v; want 1,000 and more sent, none lost", count)
			}
		})
	}
}

// What the underlay drops of a path, beside what goes on.
var cuts = []struct{ name, backend, path, drop string }{
	{"all of vxlan", "vxlan,udp", "vxlan", "ether type ip udp dport 8472"},
	{"large packets of vxlan", "vxlan,udp", "vxlan", "ether type ip udp dport 8472 udp length > 1200"},
	{"direct, where vxlan is next", "auto", "direct", "ether type ip ip daddr 10.244.0.0/16"},
}

// A path that is cut is left for the next one, and used again after it heals.
func TestPathThatIsCutIsLeftAndTakenUpAgain(t *testing.T) {
	for _, c := range cuts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, p1, p2 := joined(t, c.backend)
			talk := lab.Converse(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7001))
			lab.Eventually(t, 5*time.Second, "a conversation", func() error { return lab.Expect(talk.Rounds() > 20, "%d rounds", talk.Rounds()) })
			time.Sleep(3 * time.Second) // so that the traffic is known
			l.Drop(c.drop)
			start := time.Now()
			for _, hosts := range [][2]*lab.Host{{p1.Host, p2.Host}, {p2.Host, p1.Host}} {
				lab.Eventually(t, left, hosts[0].NodeName+" to leave the path", func() error {
					used := node(t, hosts[0], hosts[1]).PathInUse()
					return lab.Expect(used != c.path, "still %s", used)
				})
			}
			t.Logf("left after %v", time.Since(start).Round(100*time.Millisecond))
			talk.GoesOn(t, 10*time.Second, 20)
			if c.backend == "auto" {
				p1.Host.WaitKernelPath(p2.Host, proven, " dev flannel.1 ")
			}
			l.Mend()
			start = time.Now()
			lab.Eventually(t, again, "the path to be used again", func() error {
				n := node(t, p1.Host, p2.Host)
				return lab.Expect(n.PathInUse() == c.path, "%+v", n.Paths)
			})
			t.Logf("taken up again after %v", time.Since(start).Round(time.Second))
			if err := talk.Stop(); err != nil {
				t.Errorf("the TCP connection broke: %v", err)
			}
		})
	}
}

// A path that only sends, as logs and measurements do, is left in time as well.
func TestPathOfAOneWayStreamThatIsCutIsLeft(t *testing.T) {
	t.Parallel()
	for _, c := range cuts {
		if strings.HasPrefix(c.name, "large") {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, p1, p2 := joined(t, c.backend)
			sink := p2.ListenUDP(t, at(p2.Addr, 7001))
			defer sink.Close()
			source := p1.ListenUDP(t, at(p1.Addr, 0))
			defer source.Close()
			stop := startTorrent(t, source, at(p2.Addr, 7001), 50, func(*rand.Rand) []byte { return []byte("one way") })
			arrives := func(when string) {
				t.Helper()
				sink.SetReadDeadline(time.Now().Add(left))
				if _, _, err := sink.ReadFromUDPAddrPort(make([]byte, 100)); err != nil {
					t.Errorf("%s: %v", when, err)
				}
			}
			arrives("at first")
			time.Sleep(3 * time.Second) // so that the traffic is known
			l.Drop(c.drop)
			start := time.Now()
			lab.Eventually(t, left, "the sender to leave the path", func() error {
				used := node(t, p1.Host, p2.Host).PathInUse()
				return lab.Expect(used != c.path, "still %s", used)
			})
			t.Logf("left after %v", time.Since(start).Round(100*time.Millisecond))
			sink.Close()
			sink = p2.ListenUDP(t, at(p2.Addr, 7001)) // without what came before
			arrives("by the next path")
			if _, err := stop(); err != nil {
				t.Errorf("a datagram was refused: %v", err)
			}
		})
	}
}

// What a kernel path stands on is put back within a second, and packets go on.
func TestWhatAKernelPathStandsOnIsPutBack(t *testing.T) {
	t.Parallel()
	_, p1, p2 := joined(t, "vxlan,udp")
	h1, h2 := p1.Host, p2.Host
	lease := h2.Lease()
	flat := func(args ...string) string { return h1.Exec(t, args[0], args[1:]...) }
	link := func() string { return flat("ip", "-d", "-o", "link", "show", "flannel.1") }
	mac := macOf(t, h1, "flannel.1")
	peer := strings.Fields(flat("ip", "neigh", "show", "dev", "flannel.1", lease.Addr().String()))[2]
	for _, c := range []struct {
		name, remove string
		there        func() bool
	}{
		{"route", "ip route delete " + lease.String() + " proto 85", func() bool { return h1.KernelPath(h2) != "" }},
		{"neighbor", "ip neigh delete " + lease.Addr().String() + " dev flannel.1",
			func() bool { return strings.Contains(flat("ip", "neigh", "show", "dev", "flannel.1"), peer) }},
		{"FDB entry", "bridge fdb delete " + peer + " dev flannel.1 dst " + h2.Addr.String(),
			func() bool { return strings.Contains(flat("bridge", "fdb", "show", "dev", "flannel.1"), peer) }},
		{"address", "ip address flush dev flannel.1",
			func() bool {
				return strings.Contains(flat("ip", "address", "show", "flannel.1"), h1.Lease().Addr().String()+"/32")
			}},
		{"device down", "ip link set flannel.1 down", func() bool { return h1.KernelPath(h2) != "" && strings.Contains(link(), ",UP") }},
		{"MAC", "ip link set flannel.1 address 02:00:00:00:00:99", func() bool { return strings.Contains(link(), mac) }},
		{"MTU", "ip link set flannel.1 mtu 1200", func() bool { return strings.Contains(link(), "mtu 1450") }},
		{"device", "ip link delete flannel.1", func() bool { return h1.KernelPath(h2) != "" }},
		{"all neighbors and entries", "ip neigh flush dev flannel.1 nud permanent; bridge fdb flush dev flannel.1 2>/dev/null || true",
			func() bool {
				return strings.Contains(flat("ip", "neigh", "show", "dev", "flannel.1"), peer) &&
					strings.Contains(flat("bridge", "fdb", "show", "dev", "flannel.1"), peer)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h1.Exec(t, "sh", "-c", c.remove)
			start := time.Now()
			lab.Eventually(t, 5*putBack, "it to be put back", func() error {
				if h1.Run(t, "ip", "link", "show", "flannel.1").Status != 0 {
					return fmt.Errorf("no device")
				}
				return lab.Expect(c.there(), "it is missing")
			})
			if took := time.Since(start); took > 2*putBack { // twice: tests share the processors
				t.Errorf("put back after %v", took)
			}
			p1.Reachable(t, p2.Addr, 5*time.Second)
			h1.WaitKernelPath(h2, again)
		})
	}
}

// The kernel goes on while no daemon runs. The next start takes over what it
// wants, and removes the rest.
func TestKernelPathsOutliveTheDaemonAndNothingElse(t *testing.T) {
	for _, c := range kernelPaths[:2] {
		t.Run(c.backend, func(t *testing.T) {
			t.Parallel()
			_, p1, p2 := joined(t, c.backend)
			h1, h2 := p1.Host, p2.Host
			pings := p2.StartPinging(t, p1.Addr, 10*time.Millisecond)
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("host1 has\n%shost2 has\n%s", kernelState(t, h1), kernelState(t, h2))
				}
			})
			h1.Daemon.Kill()
			p1.Reachable(t, p2.Addr, 5*time.Second)
			h1.Start("--backend", c.backend, "--join", h2.Addr.String()).WaitReady(ready)
			h1.WaitKernelPath(h2, proven)
			if status := h1.Daemon.Stop(); status != 0 {
				t.Errorf("exit status %d", status)
			}
			p1.Reachable(t, p2.Addr, 5*time.Second)
			h1.Start("--backend", c.backend+",udp", "--join", h2.Addr.String()).WaitReady(ready)
			h1.WaitKernelPath(h2, proven)
			if count := pings.Stop(); count.Lost != 0 {
				t.Errorf("over a kill, a stop and two starts: %v", count)
			}

			h1.Daemon.Stop()
			h1.Start("--backend", "udp", "--join", h2.Addr.String(), "--mtu", "1400").WaitReady(ready)
			h1.WaitUserPath(h2, 5*time.Second)
			h1.Daemon.Stop()
			h1.Start("--backend", c.backend, "--join", h2.Addr.String()).WaitReady(ready)
			h1.WaitKernelPath(h2, again)
			h1.MustFlanneld("leave")
			h1.Daemon.WaitEnd(ready)
			nothingSetUp(t, h1)
			nothingOfPaths(t, h1)
			h2.Daemon.Kill()
			h2.MustFlanneld("cleanup")
			nothingOfPaths(t, h2)
		})
	}
}

// macOf is the MAC address of a host's device.
func macOf(t *testing.T, h *lab.Host, device string) string {
	t.Helper()
	_, rest, _ := strings.Cut(h.Exec(t, "ip", "-o", "link", "show", device), "link/ether ")
	mac, _, ok := strings.Cut(rest, " ")
	if !ok {
		t.Fatalf("%s: %s has no MAC address", h.NodeName, device)
	}
	return mac
}

// A host is given another backend by a restart, while the other one keeps its
// own. Packets that the kernel carried go on, whatever comes next. The other
// host follows as soon as the kernel carries the udp format as well.
func TestChangeOfTheBackendLosesNoPacket(t *testing.T) {
	t.Parallel()
	_, p1, p2 := joined(t, "auto")
	h1, h2 := p1.Host, p2.Host
	for _, next := range []struct{ backend, route string }{
		{"vxlan,udp", " dev flannel.1 "}, {"host-gw,udp", " dev eth0 "}, {"udp", ""},
	} {
		nothingLost := pingBothWays(t, p1, p2, 4*time.Millisecond)
		h1.Daemon.Stop()
		h1.Start("--backend", next.backend, "--join", h2.Addr.String()).WaitReady(ready)
		if next.route != "" {
			h1.WaitKernelPath(h2, proven, next.route)
		} else {
			h1.WaitUserPath(h2, proven)
			h2.WaitUserPath(h1, 2*proven) // the former path is taken for a while
		}
		time.Sleep(time.Second)
		nothingLost("to " + next.backend)
		if next.backend != "udp" {
			h2.WaitKernelPath(h1, proven)
		}
	}
	lab.Eventually(t, 30*time.Second, "what no path needs any more to go", func() error {
		links := h1.Exec(t, "ip", "-o", "link", "show")
		tables := h1.Exec(t, "nft", "list", "tables")
		return lab.Expect(!strings.Contains(links, "flannel.1") && !strings.Contains(tables, "flanneld-paths"), "%s%s", links, tables)
	})
	if !h1.Status().Shortcut.Ready {
		return // what user space carries waits for the daemon
	}
	lab.WaitShortcuts(again, h1, h2)
	nothingLost := pingBothWays(t, p1, p2, 4*time.Millisecond)
	h2.Daemon.Stop()
	h2.Start("--join", h1.Addr.String()).WaitReady(ready)
	time.Sleep(time.Second)
	nothingLost("the other host to udp")
}

// A host gets another port, and then another VNI. The others send to the former
// device until they know.
func TestChangeOfTheVXLANDeviceLosesNoPacket(t *testing.T) {
	t.Parallel()
	_, p1, p2 := joined(t, "vxlan,udp")
	h1, h2 := p1.Host, p2.Host
	for _, next := range [][]string{{"--vxlan-port", "4789"}, {"--vxlan-port", "4789", "--vxlan-vni", "7"}} {
		nothingLost := pingBothWays(t, p1, p2, 4*time.Millisecond)
		h1.Daemon.Stop()
		h1.Start(append([]string{"--backend", "vxlan,udp", "--join", h2.Addr.String()}, next...)...).WaitReady(ready)
		want := []string{"flannel.1:", "vxlan id 1 ", "dstport 4789 "}
		if len(next) > 2 {
			want = []string{"flannel.7:", "vxlan id 7 ", "dstport 4789 "}
		}
		lab.Eventually(t, 30*time.Second, "the new device", func() error {
			device := h1.Exec(t, "ip", "-d", "-o", "link", "show", "type", "vxlan")
			missing := slices.DeleteFunc(slices.Clone(want), func(word string) bool { return strings.Contains(device, word) })
			return lab.Expect(len(missing) == 0, "%s has no %q", device, missing)
		})
		if len(next) == 2 {
			lab.WaitKernelPaths([]*lab.Host{h1, h2}, proven, " dev flannel.1 ")
		}
		time.Sleep(time.Second)
		nothingLost(strings.Join(next, " "))
	}
}

// A setting is changed on one host after the other, without a pause between
// them, as an operator's script does it.
func TestChangeOfTheBackendOfAllHostsLosesNoPacket(t *testing.T) {
	for _, former := range []string{"host-gw,udp", "vxlan,udp"} {
		for _, shortcut := range []string{"auto", "off"} {
			t.Run(former+" to udp, short-cut "+shortcut, func(t *testing.T) {
				t.Parallel()
				_, p1, p2 := joined(t, former)
				h1, h2 := p1.Host, p2.Host
				nothingLost := pingBothWays(t, p1, p2, 4*time.Millisecond)
				h1.Daemon.Stop()
				h1.Start("--shortcut", shortcut, "--join", h2.Addr.String()).WaitReady(ready)
				h2.Daemon.Stop()
				h2.Start("--shortcut", shortcut, "--join", h1.Addr.String()).WaitReady(ready)
				h1.WaitUserPath(h2, 2*proven)
				h2.WaitUserPath(h1, 2*proven)
				time.Sleep(time.Second)
				nothingLost("both hosts to udp")
			})
		}
	}
}

// pingBothWays pings at an interval until nothingLost is called, which fails
// the test where a reply is missing.
func pingBothWays(t *testing.T, p1, p2 *lab.Pod, every time.Duration) (nothingLost func(what string)) {
	t.Helper()
	pings := []*lab.Pinger{p1.StartPinging(t, p2.Addr, every), p2.StartPinging(t, p1.Addr, every)}
	return func(what string) {
		t.Helper()
		for i, p := range pings {
			if count := p.Stop(); count.Lost != 0 || len(count.Errors) != 0 {
				h1, h2 := p1.Host, p2.Host
				_, drops1 := dropped(h1)
				_, drops2 := dropped(h2)
				t.Errorf("%s, from host%d: %v; dropped by flanneld %v and %v\n%s\n%s", what, i+1, count, drops1, drops2,
					kernelState(t, h1), kernelState(t, h2))
			}
		}
	}
}

// kernelState is what the kernel of a host has of kernel paths.
func kernelState(t *testing.T, h *lab.Host) (all string) {
	t.Helper()
	for _, line := range []string{
		"ip route show proto 85", "ip neigh show", "bridge fdb show dev flannel.1", "nft list ruleset", "iptables-save -c",
	} {
		all += line + "\n" + h.Run(t, "sh", "-c", line).Stdout
	}
	return all
}

// nothingOfPaths fails the test if something of a kernel path is on the host.
func nothingOfPaths(t *testing.T, h *lab.Host) {
	t.Helper()
	if routes := h.Exec(t, "ip", "route", "show", "proto", "85"); routes != "" {
		t.Errorf("%s has routes: %s", h.NodeName, routes)
	}
	for _, device := range []string{"flannel.1", "flannel.ipip"} {
		if h.Run(t, "ip", "link", "show", device).Status == 0 {
			t.Errorf("%s has device %s", h.NodeName, device)
		}
	}
	if tables := h.Exec(t, "nft", "list", "tables"); strings.Contains(tables, "flanneld-paths") {
		t.Errorf("%s has tables: %s", h.NodeName, tables)
	}
}

// Another program's device is not taken, and its VXLAN port is not fought over.
// udp carries packets, and status says what is in the way.
func TestPathThatThisHostCannotHaveIsNamed(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	h1.Exec(t, "ip", "link", "add", "flannel.1", "type", "bridge")
	h2.Exec(t, "ip", "link", "add", "other", "type", "vxlan", "id", "1", "dstport", "8472", "dev", "eth0")
	h2.Exec(t, "ip", "link", "set", "other", "up")
	h1.Start("--backend", "vxlan,udp").WaitReady(ready)
	h2.Start("--backend", "vxlan,udp", "--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	mentions(t, "status of host1", h1.Flanneld("status").Stdout, "flannel.1", "vxlan")
	mentions(t, "status of host2", h2.Flanneld("status").Stdout, "vxlan")
	if n := node(t, h1, h2); n.PathInUse() != "udp" {
		t.Errorf("%+v", n.Paths)
	}
	h1.Exec(t, "ip", "link", "delete", "flannel.1")
	h2.Exec(t, "ip", "link", "delete", "other")
	h1.WaitKernelPath(h2, again)
	h2.WaitKernelPath(h1, again)
	p1.Reachable(t, p2.Addr, 5*time.Second)
}

// A peer behind a router is not reached directly, whatever answers there.
func TestPeerBehindARouterIsNotReachedDirectly(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--backend", "auto")
	h2 := l.HostBehind(1500)
	h2.Start("--backend", "auto", "--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	h1.WaitKernelPath(h2, proven, " dev flannel.1 ")
	for _, p := range node(t, h1, h2).Paths {
		if p.Name == "direct" && (p.Used || !strings.Contains(p.Why, "router")) {
			t.Errorf("%+v", p)
		}
	}
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 8<<20)
}

// Packets of a stranger on the underlay are dropped on every kernel path.
func TestStrangersPacketsAreDroppedOnKernelPaths(t *testing.T) {
	t.Parallel()
	l, p1, p2 := joined(t, "auto")
	stranger := l.Host()
	sink := listenUDP(t, p1.Namespace, at(p1.Addr, 4242))
	h1 := p1.Host
	mac := macOf(t, h1, "flannel.1")

	// By vxlan: a device made by hand, with the addresses of the other host.
	stranger.Exec(t, "sh", "-c", fmt.Sprintf(`
		ip link add v type vxlan id 1 dstport 8472 dev eth0 nolearning
		ip link set v up
		ip address add %[1]s/32 dev v
		ip neigh add %[2]s dev v lladdr %[3]s
		bridge fdb append %[3]s dev v dst %[4]s
		ip route add %[5]s via %[2]s dev v onlink`, p2.Addr, h1.Lease().Addr(), mac, h1.Addr, h1.Lease()))
	forge := fmt.Sprintf("echo forged >/dev/udp/%s/4242", p1.Addr)
	stranger.Exec(t, "bash", "-c", forge)
	nothingArrived(t, sink)
	// Directly: a route to the lease by the host.
	stranger.Exec(t, "sh", "-c", fmt.Sprintf(`
		ip link delete v
		ip address add %s/32 dev lo
		ip route add %s via %s dev eth0 onlink src %s`, p2.Addr, h1.Lease(), h1.Addr, p2.Addr))
	stranger.Exec(t, "bash", "-c", forge)
	nothingArrived(t, sink)
	// The member itself gets through.
	p2.Exec(t, "bash", "-c", fmt.Sprintf("echo true >/dev/udp/%s/4242", p1.Addr))
	if !received(t, sink, 2*time.Second) {
		t.Error("the member's datagram did not arrive")
	}
}

// A host that runs flannel with a kernel backend is a static peer.
func TestFlannelHostOfAKernelBackendIsAStaticPeer(t *testing.T) {
	theirs := netip.MustParsePrefix("10.244.200.0/24")
	for _, c := range []struct{ backend, mac string }{{"host-gw", ""}, {"vxlan", "0e:00:00:00:00:c8"}, {"ipip", ""}} {
		t.Run(c.backend, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			if c.backend == "ipip" && !l.HasIPIP() {
				t.Log("this kernel has no ipip: the virtual machines have")
				return
			}
			h1, other := l.Host(), l.Host()
			h1.Start("--backend", c.backend+",udp", "--static-peer", flannelPeer(c.backend, theirs, other, c.mac)).WaitReady(ready)
			p1 := h1.Pod()
			mac := ""
			if c.backend == "vxlan" {
				mac = macOf(t, h1, "flannel.1")
			}
			other.StartKernelFlannel(c.backend, theirs, c.mac).Learn(h1.Lease(), h1.Addr, mac)
			other.Bridge()
			lab.Eventually(t, proven, "the path to the static peer", func() error {
				out := h1.Exec(t, "ip", "-o", "route", "show", "proto", "85", theirs.String())
				return lab.Expect(out != "", "no route")
			})
			p1.Reachable(t, theirs.Addr().Next(), 5*time.Second)
			got := lab.SendTCP(t, p1.Namespace, other.Namespace, at(theirs.Addr().Next(), 7000), 8<<20)
			if got.Source != p1.Addr {
				t.Errorf("%v arrived as %v", p1.Addr, got.Source)
			}
			other.Reachable(t, p1.Addr, 5*time.Second)
			well(t, h1, noticed)
		})
	}
}

// Strict reverse path filters drop what comes by another way than the answer
// takes. Packets get through all the same, and status says why not directly.
func TestStrictHostIsNotReachedDirectly(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	h2.Sysctl(t, "net.ipv4.conf.all.rp_filter", "1")
	h2.Sysctl(t, "net.ipv4.conf.eth0.rp_filter", "1")
	h1.Start("--backend", "auto").WaitReady(ready)
	h2.Start("--backend", "auto", "--join", h1.Addr.String()).WaitReady(ready)
	l.WaitConverged(2)
	h1.WaitKernelPath(h2, proven, " dev flannel.1 ")
	h2.WaitKernelPath(h1, proven)
	p1, p2 := h1.Pod(), h2.Pod()
	pings := p1.StartPinging(t, p2.Addr, 10*time.Millisecond)
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 8<<20)
	lab.SendTCP(t, p2.Namespace, p1.Namespace, at(p1.Addr, 7000), 8<<20)
	if count := pings.Stop(); count.Lost != 0 {
		t.Errorf("%v", count)
	}
	mentions(t, "status of the strict host", h2.Flanneld("status").Stdout, "rp_filter")
}

// TestRouteToAHostThatHasThePathNoMoreGoesAtTheStart: what a killed daemon has
// left stays until paths are proven, but not where the peer has meanwhile lost
// the path.
func TestRouteToAHostThatHasThePathNoMoreGoesAtTheStart(t *testing.T) {
	t.Parallel()
	_, h1, h2 := duo(t, "--backend", "host-gw,udp")
	kernelCarries(t, "host-gw", h1, h2)
	p1, p2 := h1.Pod(), h2.Pod()
	h1.Daemon.Kill()
	h2.Sysctl(t, "net.ipv4.conf.all.rp_filter", "1")
	h2.Sysctl(t, "net.ipv4.conf.eth0.rp_filter", "1")
	h2.WaitUserPath(h1, 40*time.Second)
	lab.Eventually(t, noticed, "the strict host to say so", func() error {
		said := h2.Flanneld("status").Stdout
		return lab.Expect(strings.Contains(said, "rp_filter"), "%s", said)
	})
	h1.Start("--backend", "host-gw,udp", "--join", h2.Addr.String()).WaitReady(ready)
	h1.WaitUserPath(h2, 5*time.Second)
	p1.Reachable(t, p2.Addr, 2*time.Second)
}

func TestBackendsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h := l.Host()
	for _, c := range []struct {
		args  []string
		words []string
	}{
		{[]string{"--backend", "wireguard"}, []string{"--backend", "wireguard", "vxlan"}},
		{[]string{"--backend", "vxlan,vxlan"}, []string{"--backend", "vxlan"}},
		{[]string{"--backend", "auto,udp"}, []string{"--backend", "auto"}},
		{[]string{"--backend", ","}, []string{"--backend"}},
		{[]string{"--backend", "vxlan", "--vxlan-vni", "0"}, []string{"--vxlan-vni"}},
		{[]string{"--backend", "vxlan", "--vxlan-vni", "16777216"}, []string{"--vxlan-vni"}},
		{[]string{"--backend", "vxlan", "--vxlan-port", "0"}, []string{"--vxlan-port"}},
		{[]string{"--backend", "vxlan", "--vxlan-port", "8285"}, []string{"--vxlan-port", "8285"}},
		{[]string{"--backend", "udp", "--static-peer", "10.244.9.0/24=vxlan:192.0.2.9/0e:00:00:00:00:01"}, []string{"--static-peer", "vxlan"}},
		{[]string{"--backend", "vxlan", "--static-peer", "10.244.9.0/24=vxlan:192.0.2.9/01:00:5e:00:00:01"}, []string{"--static-peer", "01:00:5e:00:00:01"}},
		{[]string{"--backend", "vxlan", "--mtu", "1480"}, []string{"--mtu", "1450"}},
	} {
		status := 2 // the command line alone is wrong
		if slices.Contains(c.args, "--mtu") {
			status = 1 // it is wrong on this host
		}
		t.Run(strings.Join(c.args, " "), func(t *testing.T) { refused(t, h, status, c.args, c.words...) })
	}
}

// ipip is missing from this kernel: it is not available, and no error.
func TestMissingModuleIsNoError(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	if l.HasIPIP() {
		t.Log("this kernel has ipip: other tests cover it")
		return
	}
	h1, h2 := l.Host(), l.Host()
	h1.Start("--backend", "ipip,vxlan,udp").WaitReady(ready)
	h2.Start("--backend", "ipip,vxlan,udp", "--join", h1.Addr.String()).WaitReady(ready)
	h1.WaitKernelPath(h2, proven, " dev flannel.1 ")
	mentions(t, "status", h1.Flanneld("status").Stdout, "ipip", "not available")
}
