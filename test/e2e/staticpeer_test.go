// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"flanneld/test/lab"
)

func TestStaticPeerSpeaksFlannelsUDPFormatBothWays(t *testing.T) {
	t.Parallel()
	extremes(t, staticPeerSpeaksFlannelsUDPFormatBothWays)
}

func staticPeerSpeaksFlannelsUDPFormatBothWays(t *testing.T, offload string) {
	subnet := netip.MustParsePrefix("10.244.200.0/24")
	remote := netip.MustParseAddr("10.244.200.9")
	l, h1 := founder(t, "--offload", offload, "--static-peer", "10.244.200.0/24=192.168.50.12:8285")
	peer := l.Host()
	speaker := peer.StartSpeaker(subnet, 8285)
	pod := h1.Pod()

	// Out and back: the speaker answers pings and echoes UDP.
	pod.Reachable(t, remote, 5*time.Second)
	h1.Reachable(t, remote, 5*time.Second)
	client := pod.ListenUDP(t, at(pod.Addr, 0))
	defer client.Close()
	if _, err := client.WriteToUDPAddrPort([]byte("hello flannel"), at(remote, 7)); err != nil {
		t.Fatal(err)
	}
	client.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 2000)
	n, from, err := client.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "hello flannel" || from != at(remote, 7) {
		t.Errorf("echo %q from %v, %v", buf[:n], from, err)
	}
	// On the wire there is the inner packet and nothing else.
	for _, datagram := range speaker.Received() {
		h, err := ipv4.ParseHeader(datagram)
		if err != nil || h.TotalLen != len(datagram) {
			t.Fatalf("a datagram of %d bytes is no inner packet: %v, %v", len(datagram), h, err)
		}
		if h.TTL > 63 {
			t.Errorf("TTL %d was not decremented", h.TTL)
		}
	}
	// In and back: the speaker pings the pod on its own account.
	before := len(speaker.Received())
	if err := speaker.Send(lab.EchoPacket(remote, pod.Addr, false, 77, 1, []byte("from flannel")), at(h1.Addr, 8285)); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, 5*time.Second, "the pod's reply at the static peer", func() error {
		for _, datagram := range speaker.Received()[before:] {
			if h, err := ipv4.ParseHeader(datagram); err == nil && h.Protocol == 1 && datagram[h.Len] == 0 && datagram[h.Len+5] == 77 {
				return nil
			}
		}
		return lab.Expect(false, "%d datagrams", len(speaker.Received())-before)
	})
	var r lab.Route
	if err := h1.JSON(&r, "route", "get", remote.String()); err != nil || r.Kind != "via" || r.Endpoint != "192.168.50.12:8285" {
		t.Errorf("route get: %+v, %v", r, err)
	}
	mentions(t, "nodes", h1.MustFlanneld("nodes"), "static", "10.244.200.0/24")
}

func TestStaticPeersSubnetIsNotLeasedOut(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--static-peer", "10.244.1.0/24=192.168.50.99:8285",
		"--subnet-min", "10.244.1.0", "--subnet-max", "10.244.2.0")
	if got := h1.Lease().String(); got != "10.244.2.0/24" {
		t.Errorf("leased %s", got)
	}
	h2 := l.Host()
	refused(t, h2, 2, []string{"--static-peer", h1.Lease().String() + "=192.168.50.98:8285", "--join", h1.Addr.String(),
		"--subnet", h1.Lease().String()}, h1.Lease().String())
}

func TestStaticPeerBehindASmallerPath(t *testing.T) {
	t.Parallel()
	extremes(t, staticPeerBehindASmallerPath)
}

func staticPeerBehindASmallerPath(t *testing.T, offload string) {
	l, h1 := founder(t, "--offload", offload, "--static-peer", "10.244.200.0/24=192.168.60.12:8285")
	peer := l.HostBehind(1200)
	peer.StartSpeaker(netip.MustParsePrefix("10.244.200.0/24"), 8285)
	pod := h1.Pod()
	remote := netip.MustParseAddr("10.244.200.9")
	pod.Reachable(t, remote, 5*time.Second)
	lab.Eventually(t, 5*time.Second, "fragmentation needed", func() error {
		a := pod.Ping(t, lab.Echo{To: remote, Size: 1400})
		return lab.Expect(a.Code == lab.FragmentationNeeded && a.MTU == 1200-28, "%v", a)
	})
	if a := pod.Ping(t, lab.Echo{To: remote, Size: 1200 - 28}); a.Type != ipv4.ICMPTypeEchoReply {
		t.Errorf("a packet that fits: %v", a)
	}
}

// TestStaticPeersHostIsServedWhenItMoves: the entry's host becomes a node. It
// gets its subnet, pinned or from its existing configuration, and is routed as
// a node from then on.
func TestStaticPeersHostIsServedWhenItMoves(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"pinned": {"--subnet", "10.244.200.0/24"}, "by subnet.env": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := []string{"--static-peer", "10.244.200.0/24=192.168.50.12:8285,10.244.201.0/24=192.168.50.11:8285"}
			l, h1 := founder(t, list...)
			if got := h1.Lease().String(); got != "10.244.201.0/24" {
				t.Errorf("the founder has %s, the list says 10.244.201.0/24", got)
			}
			mentions(t, "the log", h1.Daemon.Log(), "static peer is this host itself", "10.244.201.0/24=192.168.50.11:8285")
			h2 := l.Host()
			if args == nil { // as flannel left it
				flannelsFile(t, h2, "10.244.200.1/24")
			}
			h2.Start(append(append(list, "--join", h1.Addr.String()), args...)...).WaitReady(ready)
			if got := h2.Lease().String(); got != "10.244.200.0/24" {
				t.Errorf("it has %s", got)
			}
			l.WaitConverged(2)
			var r lab.Route
			if err := h1.JSON(&r, "route", "get", "10.244.200.9"); err != nil || r.Node.Name != "host2" {
				t.Errorf("route get: %+v, %v", r, err)
			}
			h1.Pod().Reachable(t, h2.Pod().Addr, ready)
			if out := h1.MustFlanneld("status", "--exit-zero"); containsFold(out, "conflict") {
				t.Errorf("status speaks of a conflict:\n%s", out)
			}
			// And back: the entry is used while the host is no live member.
			h2.Daemon.Kill()
			lab.Eventually(t, ready, "the static peer to be routed", func() error {
				err := h1.JSON(&r, "route", "get", "10.244.200.9")
				return lab.Expect(err == nil && r.Kind == "via" && r.Endpoint == "192.168.50.12:8285", "%+v, %v", r, err)
			})
		})
	}
}

// flannelsFile writes the subnet.env that flannel leaves when it stops.
func flannelsFile(t *testing.T, h *lab.Host, subnet string) {
	t.Helper()
	content := "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=" + subnet + "\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false\n"
	if err := os.WriteFile(filepath.Join(h.RunDir, "subnet.env"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestClaimOfAnotherHostsStaticSubnetNamesThatHost(t *testing.T) {
	t.Parallel()
	l, h1 := founder(t, "--static-peer", "10.244.200.0/24=192.168.50.99:8285")
	h2 := l.Host()
	d := h2.Start("--join", h1.Addr.String(), "--subnet", "10.244.200.0/24")
	want := "node host1 has 10.244.200.0/24 as --static-peer at 192.168.50.99:8285"
	d.WaitLog(want, ready)
	lab.Eventually(t, ready, "status to say why", func() error {
		waiting := h2.Status().Lease.Waiting
		return lab.Expect(strings.Contains(waiting, want), "it says %q", waiting)
	})
	h1.Daemon.WaitLog("refused a claim of a static peer's subnet", ready)
	h1.Daemon.Stop() // the operator removes the entry
	h1.Start().WaitReady(ready)
	d.WaitReady(2 * ready)
}

func TestStaticPeerWithTheOwnSubnetIsReportedAndNotUsed(t *testing.T) {
	t.Parallel()
	_, h1 := founder(t)
	lease := h1.Lease()
	h1.Daemon.Stop()
	h1.Start("--static-peer", lease.String()+"=192.168.50.99:8285").WaitReady(ready)
	if h1.Lease() != lease {
		t.Errorf("it has %s, had %s", h1.Lease(), lease)
	}
	mentions(t, "the log", h1.Daemon.Log(), "own lease", "192.168.50.99:8285")
	r := h1.Flanneld("status", "-o", "json")
	mentions(t, "status", r.Stdout, "static peer "+lease.String()+"=192.168.50.99:8285")
	if r.Status != 1 {
		t.Errorf("status is %d with two hosts for one subnet", r.Status)
	}
}

// TestHostKeepsTheSubnetItsBridgeHas, without --subnet.
func TestHostKeepsTheSubnetItsBridgeHas(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	for i, name := range []string{"docker0", "cni0"} { // a founder and a joiner
		h := l.Host()
		h.Exec(t, "ip", "link", "add", name, "type", "bridge")
		h.Exec(t, "ip", "address", "add", fmt.Sprintf("10.244.%d.1/24", 70+i), "dev", name)
		h.Exec(t, "ip", "link", "set", name, "up")
		var args []string
		if i > 0 {
			args = []string{"--join", l.Hosts()[0].Addr.String()}
		}
		h.Start(args...).WaitReady(ready)
		if got, want := h.Lease().String(), fmt.Sprintf("10.244.%d.0/24", 70+i); got != want {
			t.Errorf("%s has %s, its bridge %s has %s", h.NodeName, got, name, want)
		}
		if s := h.Status(); s.Lease.Pinned {
			t.Error("the lease is pinned")
		}
	}
	// A subnet that is held stays with its holder.
	h3 := l.Host()
	flannelsFile(t, h3, "10.244.70.1/24")
	h3.Start("--join", l.Hosts()[0].Addr.String()).WaitReady(ready)
	if got := h3.Lease().String(); got == "10.244.70.0/24" {
		t.Error("host3 has host1's subnet")
	}
	l.WaitConverged(3)
}
