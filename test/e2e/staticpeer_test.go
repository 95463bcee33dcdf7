//go:build e2e

package e2e

import (
	"net/netip"
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
