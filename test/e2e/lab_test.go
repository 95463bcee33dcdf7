// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// Tests of the lab itself. Its reports about a network without flanneld have to
// be right before they can be trusted about one with it.

func TestLabHostsReachEachOtherAndTheOutside(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	h1.Reachable(t, h2.Addr, 5*time.Second)
	h1.Reachable(t, lab.OutsideAddress, 5*time.Second)
	got := lab.SendTCP(t, h1.Namespace, h2.Namespace, netip.AddrPortFrom(h2.Addr, 7000), 1<<20)
	if got.Source != h1.Addr {
		t.Errorf("the receiver saw %v, want %v", got.Source, h1.Addr)
	}
	lab.SendUDP(t, h1.Namespace, h2.Namespace, netip.AddrPortFrom(h2.Addr, 7000), 10, 1400)
	talk := lab.Converse(t, h1.Namespace, h2.Namespace, netip.AddrPortFrom(h2.Addr, 7001))
	lab.Eventually(t, 5*time.Second, "a conversation", func() error {
		return lab.Expect(talk.Rounds() > 10, "%d rounds", talk.Rounds())
	})
	if err := talk.Stop(); err != nil {
		t.Error(err)
	}
}

func TestLabRouterWithASmallerLegAnswersFragmentationNeeded(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.HostBehind(1400)
	h1.Reachable(t, h2.Addr, 5*time.Second)
	a := h1.Ping(t, lab.Echo{To: h2.Addr, Size: 1401})
	if a.Type != ipv4.ICMPTypeDestinationUnreachable || a.Code != lab.FragmentationNeeded || a.MTU != 1400 {
		t.Errorf("1401 bytes over a leg of 1400: %v", a)
	}
	if a := h1.Ping(t, lab.Echo{To: h2.Addr, Size: 1400}); a.Type != ipv4.ICMPTypeEchoReply {
		t.Errorf("1400 bytes over a leg of 1400: %v", a)
	}
}

func TestLabCountsLostPingsAndLeaks(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	leaks := h1.CountLeaks(lab.Overlay)
	pings := h1.StartPinging(t, h2.Addr, 10*time.Millisecond)
	lab.Eventually(t, 5*time.Second, "pings to be answered", func() error {
		c := pings.Count()
		return lab.Expect(c.Sent-c.Lost > 20, "%v", c)
	})
	l.Cut(h2)
	lab.Eventually(t, 5*time.Second, "pings to be lost", func() error {
		return lab.Expect(pings.Count().Lost > 20, "%v", pings.Count())
	})
	l.Heal(h2)
	h1.Reachable(t, h2.Addr, 5*time.Second)
	if c := pings.Stop(); c.Gap < 200*time.Millisecond || c.Lost < 20 {
		t.Errorf("a cut was counted as %v", c)
	}
	if n := leaks.Packets(); n != 0 {
		t.Errorf("%d leaks counted of pings on the underlay", n)
	}
	h1.Ping(t, lab.Echo{To: netip.MustParseAddr("10.244.9.9"), Wait: 100 * time.Millisecond})
	if n := leaks.Packets(); n == 0 {
		t.Error("a packet for the overlay on the default route was not counted")
	}
}

func TestLabWatchSeesADeviceGo(t *testing.T) {
	t.Parallel()
	h := lab.New(t).Host()
	h.Exec(t, "ip", "link", "add", "flannel0", "type", "bridge")
	h.Exec(t, "ip", "link", "set", "flannel0", "up")
	watch := h.Watch("flannel0")
	h.Exec(t, "ip", "address", "add", "10.244.1.0/32", "dev", "flannel0")
	if gone := h.Watch("flannel0").Stop(); len(gone) != 0 {
		t.Errorf("an added address was seen as %q", gone)
	}
	h.Exec(t, "ip", "link", "delete", "flannel0")
	lab.Eventually(t, 5*time.Second, "the monitor to have seen it", func() error {
		return lab.Expect(watch.Saw("Deleted"), "not yet")
	})
	if gone := watch.Stop(); len(gone) == 0 {
		t.Error("a deleted device was not seen")
	}
}

// Numbered datagrams go through a relay. The arrivals match the relay's own
// report.
func TestLabRelayLosesDoublesAndReorders(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	relay := l.Relay(h2, lab.Mischief{Loss: 20, Duplication: 20, Reordering: 20, Seed: 1})
	h1.Reachable(t, h2.Addr, 5*time.Second) // other frames than the data port's pass
	sink := h2.ListenUDP(t, at(h2.Addr, 8285))
	defer sink.Close()
	setOption(t, sink, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) // room for every datagram
	source := h1.ListenUDP(t, at(h1.Addr, 0))
	defer source.Close()
	const sent = 2000
	for i := range uint32(sent) {
		if _, err := source.WriteToUDPAddrPort(binary.BigEndian.AppendUint32(nil, i), at(h2.Addr, 8285)); err != nil {
			t.Fatal(err)
		}
	}
	lab.Eventually(t, 5*time.Second, "all to have passed", func() error {
		return lab.Expect(relay.Count().Frames == sent, "%+v", relay.Count())
	})
	var came lab.RelayCount
	seen, newest := map[uint32]bool{}, -1
	for buf := make([]byte, 100); ; {
		sink.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, _, err := sink.ReadFromUDPAddrPort(buf); err != nil {
			break
		}
		n := binary.BigEndian.Uint32(buf)
		switch {
		case seen[n]:
			came.Doubled++
		case int(n) < newest:
			came.Overtaken++
		}
		seen[n], newest = true, max(newest, int(n))
	}
	came.Frames, came.Lost = sent, int64(sent-len(seen))
	if told := relay.Count(); came != told || min(told.Lost, told.Doubled, told.Overtaken) < sent/40 {
		t.Errorf("%+v arrived, the relay says %+v", came, told)
	}
}

// A train is single frames on the wire, and the host behind the relay may join
// them again. In this way trains with gaps reach flanneld.
func TestLabRelayCutsTrainsAndItsHostReceivesSome(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	h1, h2 := l.Host(), l.Host()
	relay := l.Relay(h2, lab.Mischief{})
	h1.Reachable(t, h2.Addr, 5*time.Second)
	sink := h2.ListenUDP(t, at(h2.Addr, 8285))
	defer sink.Close()
	setOption(t, sink, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	source := h1.ListenUDP(t, at(h1.Addr, 0))
	defer source.Close()
	const size, count = 1000, 44
	setOption(t, source, unix.IPPROTO_UDP, unix.UDP_SEGMENT, size)
	longest := 0
	for buf := make([]byte, 1<<16); longest <= size; {
		before := relay.Count()
		if _, err := source.WriteToUDPAddrPort(make([]byte, count*size), at(h2.Addr, 8285)); err != nil {
			t.Fatal(err)
		}
		for received := 0; received < count*size; {
			sink.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, _, err := sink.ReadFromUDPAddrPort(buf)
			if err != nil {
				t.Fatalf("%d bytes of %d arrived, none longer than %d: %v", received, count*size, longest, err)
			}
			received += n
			longest = max(longest, n)
		}
		if now := relay.Count(); now.Frames-before.Frames != count || now.Unsegmented != 0 {
			t.Fatalf("a train of %d made it from %+v to %+v", count, before, now)
		}
		if relay.Count().Frames > 100*count {
			t.Fatalf("of 100 trains no two datagrams came together")
		}
	}
}

// setOption sets a socket option.
func setOption(t *testing.T, conn *net.UDPConn, level, option, value int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, value) })
	if err != nil {
		t.Fatalf("set option %d of level %d to %d: %v", option, level, value, err)
	}
}
