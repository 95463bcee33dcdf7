// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// Unusual packets, from end to end.

// Type of service: expedited forwarding (RFC 3246), and with it that the
// transport understands congestion marks, or that there was congestion.
const (
	expedited    = 46 << 2
	expeditedECT = expedited | 0b10
	expeditedCE  = expedited | 0b11
)

// congested marks incoming datagrams as having met congestion: all, or the ones
// that meet the condition.
const congested = `table netdev congested {
	chain arriving {
		type filter hook ingress device "eth0" priority 0;
		udp dport 8285 %s ip ecn set ce
	}
}`

func TestTypeOfServiceCrossesAndCongestionIsMarked(t *testing.T) {
	t.Parallel()
	extremes(t, typeOfServiceCrossesAndCongestionIsMarked)
}

func typeOfServiceCrossesAndCongestionIsMarked(t *testing.T, offload string) {
	// The rule marks datagrams behind the programs of the short-cut.
	_, h1, h2 := duo(t, "--offload", offload, "--shortcut", "off")
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, ready)
	outside := h2.Capture(t, "eth0", "udp port 8285 and src "+h1.Addr.String())
	inside := p2.Capture(t, "eth0", "udp port 7002")
	source := p1.ListenUDP(t, at(p1.Addr, 0))
	defer source.Close()
	send := func(tos int) {
		setOption(t, source, unix.IPPROTO_IP, unix.IP_TOS, tos)
		source.WriteToUDPAddrPort(make([]byte, 100), at(p2.Addr, 7002))
	}
	arrives := func(c *lab.Capture, tos byte) {
		t.Helper()
		lab.Eventually(t, ready, fmt.Sprintf("a packet with type of service %#x", tos), func() error {
			var seen []byte
			for _, frame := range c.Frames() {
				if seen = append(seen, frame[14+1]); frame[14+1] == tos {
					return nil
				}
			}
			return lab.Expect(false, "there were %#x", seen)
		})
	}
	send(expedited)
	arrives(outside, expedited)
	arrives(inside, expedited)
	send(expeditedECT)
	arrives(outside, expeditedECT)
	arrives(inside, expeditedECT)

	h2.Exec(t, "nft", fmt.Sprintf(congested, ""))
	send(expeditedECT)
	arrives(inside, expeditedCE)
	before := len(inside.Frames())
	send(expedited) // does not understand marks: it needs a loss instead
	lab.Eventually(t, ready, "a drop for congestion", func() error {
		n := h2.Status().Drops["ingress-congestion"]
		return lab.Expect(n > 0, "%d", n)
	})
	if now := len(inside.Frames()); now != before {
		t.Errorf("%d packets arrived with marks of the underlay that no transport reads", now-before)
	}
	h2.Exec(t, "nft", "delete table netdev congested")

	// A TCP that understands marks, with some marks set: its data is whole.
	for _, p := range []*lab.Pod{p1, p2} {
		p.Sysctl(t, "net.ipv4.tcp_ecn", "1")
	}
	h2.Exec(t, "nft", fmt.Sprintf(congested, "ip ecn ect0 numgen random mod 20 0"))
	lab.SendTCP(t, p1.Namespace, p2.Namespace, at(p2.Addr, 7000), 16<<20)
	fields := strings.Fields(p2.Exec(t, "nstat", "-asz", "IpExtInCEPkts"))
	if marked, err := strconv.Atoi(fields[len(fields)-2]); err != nil || marked < 50 {
		t.Errorf("%d packets arrived with a mark: %v, %q", marked, err, fields)
	}
}

func TestPathMTUIsLearnedForEachPeer(t *testing.T) {
	t.Parallel()
	extremes(t, pathMTUIsLearnedForEachPeer)
}

func pathMTUIsLearnedForEachPeer(t *testing.T, offload string) {
	l := lab.New(t)
	h1, h2, h3 := l.Host(), l.HostBehind(1300), l.Host()
	h1.Start(edge(offload)...).WaitReady(ready)
	h2.Start(edge(offload, "--join", h1.Addr.String())...).WaitReady(ready)
	h3.Start(edge(offload, "--join", h1.Addr.String())...).WaitReady(ready)
	l.WaitConverged(3)
	p1, p2, p3 := h1.Pod(), h2.Pod(), h3.Pod()
	lab.Eventually(t, ready, "the path to host2 to be learned", func() error {
		a := p1.Ping(t, lab.Echo{To: p2.Addr, Size: 1472})
		return lab.Expect(a.Code == lab.FragmentationNeeded && a.MTU == 1300-28, "%v", a)
	})
	if a := p1.Ping(t, lab.Echo{To: p3.Addr, Size: 1472}); a.Type != ipv4.ICMPTypeEchoReply || a.From != p3.Addr {
		t.Errorf("the longest packet that the path to host3 takes: %v", a)
	}
	if a := p1.Ping(t, lab.Echo{To: p2.Addr, Size: 1300 - 28}); a.Type != ipv4.ICMPTypeEchoReply || a.From != p2.Addr {
		t.Errorf("the longest packet that the path to host2 takes: %v", a)
	}
}

func TestMulticastAndBroadcastAreDroppedAndCounted(t *testing.T) {
	t.Parallel()
	extremes(t, multicastAndBroadcastAreDroppedAndCounted)
}

func multicastAndBroadcastAreDroppedAndCounted(t *testing.T, offload string) {
	_, h1, h2 := duo(t, edge(offload)...)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, ready)
	wire := h2.Capture(t, "eth0", "udp port 8285 and src "+h1.Addr.String())
	h1.Exec(t, "ip", "route", "add", "224.0.0.0/4", "dev", "flannel0")
	h1.Exec(t, "ip", "route", "add", "255.255.255.255/32", "dev", "flannel0")
	socket := h1.ListenUDP(t, at(h1.Lease().Addr(), 0))
	defer socket.Close()
	setOption(t, socket, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
	const each = 10
	for i, to := range []string{"224.0.0.251", "239.1.2.3", "255.255.255.255"} {
		for range each {
			if _, err := socket.WriteToUDPAddrPort([]byte("everybody"), at(netip.MustParseAddr(to), 5353)); err != nil {
				t.Fatalf("to %s: %v", to, err)
			}
		}
		lab.Eventually(t, ready, "packets to "+to+" to be counted", func() error {
			drops := h1.Status().Drops
			return lab.Expect(drops["egress-multicast"] >= uint64((i+1)*each), "%v", drops)
		})
	}
	p1.Reachable(t, p2.Addr, ready)
	lab.Eventually(t, ready, "the ping to be captured", func() error {
		return lab.Expect(len(wire.Frames()) > 0, "nothing")
	})
	for _, frame := range wire.Frames() {
		if inner := frame[14+28:]; inner[9] == unix.IPPROTO_UDP {
			t.Errorf("a packet to %v went to host2", net.IP(inner[16:20]))
		}
	}
}

func TestPacketsWithOptionsArriveWithThem(t *testing.T) {
	t.Parallel()
	extremes(t, packetsWithOptionsArriveWithThem)
}

func packetsWithOptionsArriveWithThem(t *testing.T, offload string) {
	_, h1, h2 := duo(t, edge(offload)...)
	p1, p2 := h1.Pod(), h2.Pod()
	p1.Reachable(t, p2.Addr, ready)
	// A stream identifier (RFC 791) stays unchanged on the way. The kernel
	// makes superpackets of a stream with options, too.
	options := string([]byte{136, 4, 0x12, 0x34})
	arriving := p2.Capture(t, "eth0", "src "+p1.Addr.String()+" and ip[0] = 0x46")

	sink := p2.ListenUDP(t, at(p2.Addr, 7002))
	defer sink.Close()
	source := p1.ListenUDP(t, at(p1.Addr, 0))
	defer source.Close()
	setOptions(t, source, options)
	for _, size := range []int{0, 100, 1472 - 24 - 8, 4000} {
		if _, err := source.WriteToUDPAddrPort(numbered(size, size+4), at(p2.Addr, 7002)); err != nil {
			t.Fatal(err)
		}
		sink.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 1<<16)
		if n, _, err := sink.ReadFromUDPAddrPort(buf); err != nil || string(buf[:n]) != string(numbered(size, size+4)) {
			t.Errorf("a datagram of %d bytes: %d came, %v", size+4, n, err)
		}
	}
	streamWithOptions(t, p1, p2, options, 8<<20)
	lab.Eventually(t, ready, "packets with options", func() error {
		frames := arriving.Frames()
		for _, frame := range frames {
			if got := string(frame[14+20 : 14+24]); got != options {
				return fmt.Errorf("options %x", got)
			}
		}
		return lab.Expect(len(frames) > 100, "%d", len(frames))
	})
}

// streamWithOptions sends bytes over a TCP connection with IP options in its
// packets, and compares the hashes.
func streamWithOptions(t *testing.T, from, to *lab.Pod, options string, size int) {
	t.Helper()
	listener := to.Listen(t, at(to.Addr, 7000))
	defer listener.Close()
	received := make(chan [32]byte, 1)
	go func() {
		digest := sha256.New()
		if conn, err := listener.Accept(); err == nil {
			io.Copy(digest, conn)
			conn.Close()
		}
		received <- [32]byte(digest.Sum(nil))
	}()
	conn, err := from.Dial(at(to.Addr, 7000), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	setOptions(t, conn.(*net.TCPConn), options)
	data := numbered(7, size)
	conn.SetDeadline(time.Now().Add(ready))
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if sent := sha256.Sum256(data); <-received != sent {
		t.Error("what arrived has another hash")
	}
}

// setOptions sets the IP options of a socket's packets.
func setOptions(t *testing.T, conn syscall.Conn, options string) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.IPPROTO_IP, unix.IP_OPTIONS, options)
	})
	if err != nil {
		t.Fatalf("set IP options: %v", err)
	}
}

// Packets that may be fragmented need identifications of their own (RFC 6864).
// That includes packets cut from superpackets.
func TestSegmentsHaveIdentificationsOfTheirOwn(t *testing.T) {
	t.Parallel()
	extremes(t, segmentsHaveIdentificationsOfTheirOwn)
}

func segmentsHaveIdentificationsOfTheirOwn(t *testing.T, offload string) {
	pod, peer, remote, wire := behindAPlainWire(t, offload)
	pod.Sysctl(t, "net.ipv4.ip_no_pmtu_disc", "1") // TCP without DF
	const size = 8 << 20
	lab.SendTCP(t, pod.Namespace, peer.Namespace, at(remote, 7000), size)
	lab.Eventually(t, ready, "the segments to be captured", func() error {
		var ids []uint16
		for _, frame := range wire.Frames() {
			inner := frame[14+28:]
			if inner[9] == unix.IPPROTO_TCP && len(inner) > 1000 && binary.BigEndian.Uint16(inner[6:]) == 0 {
				ids = append(ids, binary.BigEndian.Uint16(inner[4:]))
			}
		}
		if len(ids) < size/1432 {
			return fmt.Errorf("%d long segments without DF", len(ids))
		}
		// None comes again within 1,000: the kernel gives them out in turn.
		newest := map[uint16]int{}
		for i, id := range ids {
			if last, ok := newest[id]; ok && i-last < 1000 {
				return fmt.Errorf("segments %d and %d of %d both have %d", last, i, len(ids), id)
			}
			newest[id] = i
		}
		return nil
	})
}

// Checksums of UDP: left out, wrong, and zero, which means left out and so is
// sent as 0xffff (RFC 768).
func TestChecksumsThatAreLeftOutWrongOrZero(t *testing.T) {
	t.Parallel()
	extremes(t, checksumsThatAreLeftOutWrongOrZero)
}

func checksumsThatAreLeftOutWrongOrZero(t *testing.T, offload string) {
	pod, peer, remote, wire := behindAPlainWire(t, offload)
	source := pod.ListenUDP(t, at(pod.Addr, 7003))
	defer source.Close()
	// lastChecksum is the checksum of the newest packet with this payload.
	send := func(payload []byte) uint16 {
		t.Helper()
		if _, err := source.WriteToUDPAddrPort(payload, at(remote, 7003)); err != nil {
			t.Fatal(err)
		}
		var sum uint16
		lab.Eventually(t, ready, "the packet on the wire", func() error {
			for _, frame := range wire.Frames() {
				if inner := frame[14+28:]; inner[9] == unix.IPPROTO_UDP && string(inner[28:]) == string(payload) {
					sum = binary.BigEndian.Uint16(inner[26:])
					return lab.CheckPacket(inner)
				}
			}
			return fmt.Errorf("not there")
		})
		return sum
	}
	probe := make([]byte, 100)
	sum := send(probe)
	binary.BigEndian.PutUint16(probe, sum) // now everything adds up to zero
	if got := send(probe); got != 0xffff {
		t.Errorf("a checksum of zero was sent as %#x", got)
	}
	setOption(t, source, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
	if got := send([]byte("without a checksum")); got != 0 {
		t.Errorf("a checksum that was left out became %#x", got)
	}
	arrivesAsItIs(t, peer, remote, pod)
}

// arrivesAsItIs sends trains to the pod in which every third packet has a wrong
// UDP checksum and every third has none. A wrong checksum must not become right
// by work on its neighbors.
func arrivesAsItIs(t *testing.T, peer *lab.Host, remote netip.Addr, pod *lab.Pod) {
	t.Helper()
	sink := pod.ListenUDP(t, at(pod.Addr, 7004))
	defer sink.Close()
	raw := peer.ListenUDP(t, at(peer.Addr, 0))
	defer raw.Close()
	const count, size = 30, 1000
	var train []byte
	for i := range count {
		p := lab.UDPPacket(at(remote, 7004), at(pod.Addr, 7004), numbered(i, size))
		switch i % 3 {
		case 0:
			lab.SumUDP(p)
		case 1:
			lab.SumUDP(p)
			p[len(p)-1] ^= 1
		}
		train = append(train, p...)
	}
	// Linux before 6.11 refuses (EIO) a train to a device that computes no
	// checksums.
	peer.Exec(t, "ethtool", "-K", "eth0", "tx", "on")
	setOption(t, raw, unix.IPPROTO_UDP, unix.UDP_SEGMENT, size+28)
	if _, err := raw.WriteToUDPAddrPort(train, at(pod.Host.Addr, 8285)); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for buf := make([]byte, 1<<16); ; seen++ {
		sink.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		n, _, err := sink.ReadFromUDPAddrPort(buf)
		if err != nil {
			break
		}
		if i := int(binary.BigEndian.Uint32(buf)); i%3 == 1 || string(buf[:n]) != string(numbered(i, size)) {
			t.Errorf("packet %d arrived, with %d bytes", i, n)
		}
	}
	if seen != count*2/3 {
		t.Errorf("%d packets of %d arrived", seen, count*2/3)
	}
}
