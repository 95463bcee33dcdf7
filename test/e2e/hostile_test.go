// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/test/lab"
)

// TestHostileDatagramsAreDroppedAndCountedByReason sends datagrams to port 8285
// that must never get through, from a peer's address and from elsewhere. The
// reasons are the same with the short-cut's programs in front. These take
// datagrams without a UDP checksum.
func TestHostileDatagramsAreDroppedAndCountedByReason(t *testing.T) {
	t.Parallel()
	var first map[string]string
	for _, args := range [][]string{
		{"--shortcut", "auto"}, {"--shortcut", "off"}, {"--shortcut", "off", "--offload", "off"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			reasons := hostileDatagrams(t, args)
			if first == nil {
				first = reasons
			}
			if !maps.Equal(reasons, first) {
				t.Errorf("reasons %v, at first %v", reasons, first)
			}
		})
	}
}

// hostileDatagrams returns the reason of each kind of datagram.
func hostileDatagrams(t *testing.T, args []string) map[string]string {
	l, h1 := founder(t, append(args, "--static-peer", "10.244.200.0/24=192.168.50.12:8285")...)
	peer, stranger := l.Host(), l.Host()
	speaker := peer.StartSpeaker(netip.MustParsePrefix("10.244.200.0/24"), 8285)
	unknown := stranger.StartSpeaker(netip.MustParsePrefix("10.244.201.0/24"), 8285)
	pod := h1.Pod()
	pod.Reachable(t, netip.MustParseAddr("10.244.200.7"), 5*time.Second)
	programs := args[1] == "auto"
	if programs {
		lab.Eventually(t, proven, "the programs", func() error {
			s := h1.Status().Shortcut
			return lab.Expect(s.Ready, "%+v", s)
		})
	}
	for _, s := range []*lab.Speaker{speaker, unknown} {
		if err := s.OmitChecksums(); err != nil {
			t.Fatal(err)
		}
	}

	theirs, mine := at(netip.MustParseAddr("10.244.200.7"), 1000), at(pod.Addr, 7000)
	sink := pod.ListenUDP(t, mine)
	defer sink.Close()
	target := at(h1.Addr, 8285)
	good := func() []byte { return lab.UDPPacket(theirs, mine, bytes.Repeat([]byte("x"), 100)) }
	change := func(f func([]byte)) []byte { p := good(); f(p); return lab.FixChecksum(p) }
	ipv6 := append([]byte{0x60, 0, 0, 0, 0, 20, 59, 64}, make([]byte, 52)...)
	const count = 20
	reasons, byName := map[string][]string{}, map[string]string{}
	before, have := dropped(h1)
	for _, c := range []struct {
		name   string
		from   *lab.Speaker
		packet []byte
	}{
		{"one byte", speaker, []byte{0x45}},
		{"nineteen bytes", speaker, good()[:19]},
		{"no bytes", speaker, nil},
		{"IPv6", speaker, ipv6},
		{"not IP", speaker, bytes.Repeat([]byte{0xff}, 100)},
		{"IP version 5", speaker, change(func(p []byte) { p[0] = 0x55 })},
		{"header length of 4 words", speaker, change(func(p []byte) { p[0] = 0x44 })},
		{"header longer than the packet", speaker, func() []byte { p := good()[:40]; p[0] = 0x4f; return p }()},
		{"total length too large", speaker, change(func(p []byte) { p[2], p[3] = 0x20, 0 })},
		{"total length too small", speaker, change(func(p []byte) { p[2], p[3] = 0, 30 })},
		{"total length below the header", speaker, change(func(p []byte) { p[2], p[3] = 0, 10 })},
		{"wrong header checksum", speaker, func() []byte { p := good(); p[10] ^= 1; return p }()},
		{"larger than the device", speaker, lab.UDPPacket(theirs, mine, make([]byte, 1473-28))},
		{"much larger than the device", speaker, lab.UDPPacket(theirs, mine, make([]byte, 60000))},
		{"unknown sender", unknown, good()},
		{"unknown sender, its own subnet", unknown, lab.UDPPacket(at(netip.MustParseAddr("10.244.201.7"), 1), mine, []byte("x"))},
		{"foreign inner source", speaker, lab.UDPPacket(at(netip.MustParseAddr("10.244.99.7"), 1), mine, []byte("x"))},
		{"inner source in my own lease", speaker, lab.UDPPacket(at(pod.Addr, 1), mine, []byte("x"))},
		{"inner source outside the network", speaker, lab.UDPPacket(at(netip.MustParseAddr("8.8.8.8"), 53), mine, []byte("x"))},
		{"foreign destination", speaker, lab.UDPPacket(theirs, at(netip.MustParseAddr("10.244.99.7"), 1), []byte("x"))},
		{"destination outside the network", speaker, lab.UDPPacket(theirs, at(lab.OutsideAddress, 1), []byte("x"))},
		{"destination on the underlay", speaker, lab.UDPPacket(theirs, at(h1.Addr, 22), []byte("x"))},
		{"multicast destination", speaker, lab.UDPPacket(theirs, at(netip.MustParseAddr("224.0.0.1"), 1), []byte("x"))},
		{"broadcast destination", speaker, lab.UDPPacket(theirs, at(netip.MustParseAddr("255.255.255.255"), 1), []byte("x"))},
		{"multicast source", speaker, lab.UDPPacket(at(netip.MustParseAddr("224.0.0.5"), 1), mine, []byte("x"))},
		{"loopback source", speaker, lab.UDPPacket(at(netip.MustParseAddr("127.0.0.1"), 1), mine, []byte("x"))},
	} {
		for range count {
			if err := c.from.Send(c.packet, target); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		var now uint64
		var after map[string]uint64
		err := lab.Within(3*time.Second, func() error {
			now, after = dropped(h1)
			return lab.Expect(now >= before+count, "%d of %d counted", now-before, count)
		})
		if err != nil {
			t.Errorf("%s: %v: %v", c.name, err, after)
		}
		grown := ""
		for reason, n := range after {
			if n >= have[reason]+count {
				grown = reason
			}
		}
		if grown == "" {
			t.Errorf("%s: no reason grew by %d: %v, before %v", c.name, count, after, have)
		}
		reasons[grown] = append(reasons[grown], c.name)
		byName[c.name] = grown
		before, have = now, after
	}
	for reason, names := range reasons {
		t.Logf("%-24s %s", reason, strings.Join(names, ", "))
	}
	if len(reasons) < 6 {
		t.Errorf("only %d different reasons", len(reasons))
	}
	nothingArrived(t, sink)
	if got := unknown.Received(); len(got) != 0 {
		t.Errorf("the stranger was answered with %d datagrams", len(got))
	}
	if lines := strings.Count(h1.Daemon.Log(), "\n"); lines > 60 {
		t.Errorf("the log has grown to %d lines", lines)
	}
	// After all that, valid packets still pass.
	if err := speaker.Send(good(), target); err != nil {
		t.Fatal(err)
	}
	sink.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, from, err := sink.ReadFromUDPAddrPort(make([]byte, 2000)); err != nil || from != theirs {
		t.Errorf("a good packet afterwards: from %v, %v", from, err)
	}
	pod.Reachable(t, netip.MustParseAddr("10.244.200.7"), 5*time.Second)
	s := h1.Status().Shortcut
	t.Logf("the programs took %d packets, and left %v", s.Ingress.Packets, s.Left)
	if programs != (s.Ingress.Packets > 0) || programs != (s.Left["ingress-malformed"] >= count && s.Left["ingress-unknown-sender"] >= count) {
		t.Errorf("the programs: %+v", s)
	}
	return byName
}

func TestFloodOfGarbageDoesNotStarveControlOrTraffic(t *testing.T) {
	t.Parallel()
	extremes(t, floodOfGarbageDoesNotStarveControlOrTraffic)
}

func floodOfGarbageDoesNotStarveControlOrTraffic(t *testing.T, offload string) {
	l := lab.New(t)
	h1, h2, h3 := l.Trio(edge(offload)...)
	p1, p2 := h1.Pod(), h2.Pod()
	h3.Daemon.Stop()
	flood := h3.ListenUDP(t, at(h3.Addr, 0))
	defer flood.Close()
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		junk := bytes.Repeat([]byte{0x42}, 64)
		for {
			select {
			case <-stop:
				return
			default:
				flood.WriteToUDPAddrPort(junk, at(h1.Addr, 8285))
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	lab.Eventually(t, 20*time.Second, "20000 drops", func() error {
		sum, reasons := dropped(h1)
		return lab.Expect(sum > 20000, "%v", reasons)
	})
	start := time.Now()
	h1.Status()
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("status took %v under load", took)
	}
	p2.Reachable(t, p1.Addr, 10*time.Second)
	if lines := strings.Count(h1.Daemon.Log(), "\n"); lines > 60 {
		t.Errorf("the log has grown to %d lines", lines)
	}
}

func TestContainerCannotSendWithForeignSource(t *testing.T) {
	t.Parallel()
	extremes(t, containerCannotSendWithForeignSource)
}

func containerCannotSendWithForeignSource(t *testing.T, offload string) {
	l := lab.New(t)
	h1, h2, h3 := l.Trio(edge(offload)...)
	p1, p2, p3 := h1.Pod(), h2.Pod(), h3.Pod()
	p1.Reachable(t, p2.Addr, 5*time.Second)
	// The pod takes the address of a pod of host3, and the host permits it.
	p1.Exec(t, "ip", "address", "add", p3.Addr.String()+"/32", "dev", "eth0")
	for _, what := range []string{"all", "docker0", "flannel0", "default"} {
		h1.Sysctl(t, "net.ipv4.conf."+what+".rp_filter", "0")
	}
	sink := p2.ListenUDP(t, at(p2.Addr, 7000))
	defer sink.Close()
	before, _ := dropped(h1)
	forged := p1.ListenUDP(t, at(p3.Addr, 1234))
	defer forged.Close()
	for range 10 {
		forged.WriteToUDPAddrPort([]byte("forged"), at(p2.Addr, 7000))
	}
	dropsGrow(t, h1, before, 10)
	nothingArrived(t, sink)
}

func TestDatagramsOfAPeerWithAnotherPeersInnerSourceAreDropped(t *testing.T) {
	t.Parallel()
	extremes(t, datagramsOfAPeerWithAnotherPeersInnerSourceAreDropped)
}

func datagramsOfAPeerWithAnotherPeersInnerSourceAreDropped(t *testing.T, offload string) {
	l := lab.New(t)
	h1, h2, h3 := l.Trio(edge(offload)...)
	p1, p3 := h1.Pod(), h3.Pod()
	sink := p1.ListenUDP(t, at(p1.Addr, 7000))
	defer sink.Close()
	// Any program on host2 can send from its address, if not from port 8285.
	raw := h2.ListenUDP(t, at(h2.Addr, 0))
	defer raw.Close()
	before, _ := dropped(h1)
	for range 10 {
		raw.WriteToUDPAddrPort(lab.UDPPacket(at(p3.Addr, 1), at(p1.Addr, 7000), []byte("forged")), at(h1.Addr, 8285))
	}
	dropsGrow(t, h1, before, 10)
	nothingArrived(t, sink)
	p1.Reachable(t, p3.Addr, 5*time.Second)
}
