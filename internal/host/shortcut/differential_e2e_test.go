// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package shortcut

import (
	"bytes"
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/encap/encaptest"
	"flanneld/internal/host/link/linktest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
	"flanneld/route"
	"flanneld/tun/tuntest"
)

// The differential tests give the same packets to the programs and to package
// route. What a program carries, route has to carry in the same way. What a
// program leaves is unchanged. And a program leaves nothing simple that route
// carries.
const (
	generated = 21_500
	seed      = 20261129
)

// peersOfTest are the routes of host 1, for both sides.
var peersOfTest = []Peer{
	{Prefix: netip.MustParsePrefix("10.244.2.0/24"), Endpoint: netip.MustParseAddrPort("192.0.2.2:8285"), Send: true},
	{Prefix: netip.MustParsePrefix("10.244.2.16/28"), Endpoint: netip.MustParseAddrPort("192.0.2.2:8285")},
	{Prefix: netip.MustParsePrefix("10.244.3.0/24"), Endpoint: netip.MustParseAddrPort("192.0.2.2:8285")},
	{Prefix: netip.MustParsePrefix("10.244.5.0/24"), Endpoint: netip.MustParseAddrPort("192.0.2.2:9000"), Send: true, Limit: 576},
}

// reference is package route with fakes at both ends.
type reference struct {
	*route.Forwarder
	table *route.Table
	queue *tuntest.Queue
	conn  *encaptest.Conn
}

// wakeup is a route.Waiter for fakes.
type wakeup chan struct{}

func (w wakeup) Wait(int, time.Duration) error { <-w; return nil }
func (w wakeup) Rest(time.Duration, int) error { return w.Wait(0, 0) }
func (w wakeup) Sleep(time.Duration)           {}
func (w wakeup) wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

func newReference(t *testing.T) *reference {
	t.Helper()
	r := &reference{table: new(route.Table), queue: tuntest.NewQueue(), conn: encaptest.NewConn()}
	entries := []route.Entry{{Prefix: netip.MustParsePrefix("10.244.1.0/24"), Kind: route.Local}}
	for _, p := range peersOfTest {
		entries = append(entries, route.Entry{Prefix: p.Prefix, Kind: route.Via, Peer: route.NewPeer(p.Prefix.String(), p.Endpoint, p.Limit)})
	}
	var feed route.Feed
	feed.Add(r.table)
	if err := feed.Store(entries); err != nil {
		t.Fatal(err)
	}
	w := make(wakeup, 1)
	r.queue.Notify(w.wake)
	r.conn.Notify(w.wake)
	var err error
	r.Forwarder, err = route.NewForwarder(route.Config{
		Lanes: []route.Lane{{Queue: r.queue, Conn: r.conn, Waiter: w}}, Table: r.table,
		Lease: netip.MustParsePrefix("10.244.1.0/24"), MTU: 1472, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// settle waits until so many packets were carried or dropped.
func settle(t *testing.T, n int, direction func() route.Direction) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		d := direction()
		all := d.Packets
		for _, drop := range d.Drops {
			all += drop.Packets
		}
		if all >= uint64(n) {
			return
		}
	}
	t.Fatalf("route did not finish %d packets: %+v", n, direction())
}

// Packets of containers: what the egress program sends is what route sends.
func TestEgressDecidesAsRouteDoes(t *testing.T) {
	hosts := twoHosts(t)
	hosts[0].part.Update(peersOfTest, nil)
	packets := append(generate(rand.New(rand.NewPCG(seed, 1)), outgoing), corpus(t, "FuzzEgress")...)
	packets = slices.DeleteFunc(packets, func(p []byte) bool { return len(p) > 1472 }) // the device takes no more
	ref := newReference(t)
	ref.queue.Feed(packets...)
	settle(t, len(packets), func() route.Direction { return ref.Stats().Egress })
	sent := map[string]encaptest.Datagram{}
	for _, d := range ref.conn.Sent(int(ref.Stats().Egress.Packets)) {
		sent[string(d.Payload)] = d
	}
	w := newWire(t)
	carried := 0
	for i, p := range packets {
		frame, left := w.pass(t, p)
		d, forwarded := sent[string(onWire(p))]
		switch {
		case frame == nil && !bytes.Equal(left, p):
			t.Fatalf("packet %d %x was changed to %x, and left", i, p, left)
		case frame == nil && forwarded && simpleOut(p):
			t.Fatalf("packet %d %x was left", i, p)
		case frame != nil && !forwarded:
			t.Fatalf("packet %d %x was sent, which route drops", i, p)
		case frame != nil:
			carried++
			checkOuter(t, frame, d)
		}
	}
	t.Logf("%d packets: the program carried %d, route %d", len(packets), carried, len(sent))
	if carried < generated/4 {
		t.Errorf("only %d packets were carried: the test shows little", carried)
	}
	if sent := hosts[0].part.Total().Sent; sent.Packets != uint64(carried) {
		t.Errorf("%d packets are counted, %d were sent", sent.Packets, carried)
	}
}

// Datagrams of peers: what the ingress program lets in is what route lets in.
func TestIngressDecidesAsRouteDoes(t *testing.T) {
	hosts := twoHosts(t)
	h := hosts[0]
	h.part.Update(peersOfTest, nil)
	inner := append(generate(rand.New(rand.NewPCG(seed, 2)), incoming), corpus(t, "FuzzIngress", "FuzzTrain")...)
	random := rand.New(rand.NewPCG(seed, 3))
	ref := newReference(t)
	var frames [][]byte
	for _, p := range inner {
		from := netip.MustParseAddrPort("192.0.2.2:61500")
		if random.IntN(8) == 0 {
			from = netip.MustParseAddrPort("198.51.100.9:61500")
		}
		tos := byte(random.IntN(256))
		frames = append(frames, datagram(from, hosts[0].config.Endpoint, tos, p))
		ref.conn.Deliver(encaptest.Datagram{Addr: from, Payload: p, TOS: tos})
	}
	settle(t, len(inner), func() route.Direction { return ref.Stats().Ingress })
	written := map[string]bool{}
	for _, p := range ref.queue.Written(int(ref.Stats().Ingress.Packets)) {
		written[string(p)] = true
	}
	carried := 0
	for i, frame := range frames {
		if len(frame) > 65535 {
			continue
		}
		verdict, out, err := h.part.programs.loaded.Ingress.Test(slices.Clone(frame))
		if err != nil {
			t.Fatalf("datagram %d %x: %v", i, frame, err)
		}
		const redirect = 7
		p := slices.Clone(inner[i])
		admitted := false
		if parsed, err := packet.Parse(p); err == nil && parsed.DecapsulateECN(frame[15]) {
			admitted = written[string(p)] && frame[26+3] == 2
		}
		switch {
		case verdict != redirect && !bytes.Equal(out, frame):
			t.Fatalf("datagram %d %x was changed to %x, and left", i, frame, out)
		case verdict != redirect && admitted && simpleIn(p):
			t.Fatalf("datagram %d %x was left", i, frame)
		case verdict == redirect && !written[string(out[14:])]:
			t.Fatalf("datagram %d %x was let in as %x, which route does not", i, frame, out)
		case verdict == redirect:
			carried++
		}
	}
	t.Logf("%d datagrams: the program let %d in, route %d", len(frames), carried, len(written))
	if carried < generated/4 {
		t.Errorf("only %d datagrams were let in: the test shows little", carried)
	}
}

// onWire is a packet as it leaves; nil for what cannot.
func onWire(p []byte) []byte {
	q := packet.Packet(slices.Clone(p))
	if len(q) < packet.HeaderLen || q.TTL() == 0 {
		return nil
	}
	q.DecrementTTL()
	return q
}

// simple reports whether a packet is of a kind that programs carry.
func simple(p packet.Packet) bool {
	if p.HeaderLen() != packet.HeaderLen || p.Fragment() {
		return false
	}
	if p.Protocol() == packet.TCP {
		tcp := p.Payload()
		return len(tcp) >= packet.TCPHeaderLen && tcp[12]>>4 >= 5 && len(tcp) >= int(tcp[12]>>4)*4
	}
	return p.Protocol() == packet.UDP || p.Protocol() == packet.ICMP
}

func reset(p packet.Packet) bool { return p.Protocol() == packet.TCP && p.Payload()[13]&4 != 0 }

func simpleOut(p packet.Packet) bool {
	return taken(p.Destination()) && simple(p) && !reset(p) && !(p.Protocol() == packet.ICMP && p.Source() == netip.MustParseAddr("10.244.1.0"))
}

// taken reports whether the peer of an address takes packets of programs.
func taken(a netip.Addr) (send bool) {
	bits := -1
	for _, p := range peersOfTest {
		if p.Prefix.Contains(a) && p.Prefix.Bits() > bits {
			send, bits = p.Send, p.Prefix.Bits()
		}
	}
	return send
}

func simpleIn(p packet.Packet) bool {
	own := p.Destination() == netip.MustParseAddr("10.244.1.0")
	return simple(p) && !(own && (reset(p) || p.Protocol() == packet.ICMP))
}

// A direction says which addresses generated packets have.
type direction struct{ from, to []string }

var (
	outgoing = direction{
		from: []string{"10.244.1.5", "10.244.1.0", "10.244.1.255", "10.244.2.5", "192.0.2.1"},
		to: []string{"10.244.2.5", "10.244.2.5", "10.244.2.0", "10.244.2.17", "10.244.3.5", "10.244.5.5", "10.244.1.7",
			"10.244.9.9", "224.0.0.9", "255.255.255.255"},
	}
	incoming = direction{
		from: []string{"10.244.2.5", "10.244.2.5", "10.244.2.17", "10.244.3.5", "10.244.5.5", "10.244.9.9", "10.244.1.5", "192.0.2.2"},
		to:   []string{"10.244.1.5", "10.244.1.5", "10.244.1.0", "10.244.2.5", "203.0.113.7"},
	}
)

// generate makes packets, most of them good, each with another payload.
func generate(r *rand.Rand, d direction) (all [][]byte) {
	pick := func(first int, of ...byte) byte { // the first value in most cases
		if r.IntN(100) < first {
			return of[0]
		}
		return of[r.IntN(len(of))]
	}
	address := func(of []string) string {
		if r.IntN(2) == 0 {
			return of[0]
		}
		return of[r.IntN(len(of))]
	}
	for i := range generated {
		s := packettest.Spec{
			Src: address(d.from), Dst: address(d.to), TTL: pick(70, 64, 1, 2, 255), TOS: byte(r.IntN(256)), ID: uint16(i),
			Protocol: pick(50, packet.UDP, packet.TCP, packet.TCP, packet.ICMP, 132, 47),
			Payload:  packettest.Pattern(r.IntN(200)),
		}
		switch r.IntN(20) {
		case 0:
			s.Options = []byte{1, 1, 1, 0}
		case 1:
			s.Flags = packet.FlagMF
		case 2:
			s.Flags = uint16(r.IntN(200))
		case 3, 4:
			s.Payload = packettest.Pattern(1400 + r.IntN(120))
			s.Flags = packet.FlagDF
		case 5:
			s.Payload = packettest.Pattern(500 + r.IntN(100))
		}
		if len(s.Payload) >= 8 {
			binary.BigEndian.PutUint32(s.Payload[4:], uint32(i))
		}
		if s.Protocol == packet.TCP && len(s.Payload) >= 20 && r.IntN(10) > 0 {
			s.Payload[12], s.Payload[13] = 5<<4, pick(80, 0x10, 0x02, 0x04, 0x11)
		}
		p := []byte(s.Build())
		switch r.IntN(20) {
		case 0:
			p[r.IntN(len(p))] ^= 1 << r.IntN(8)
		case 1:
			p = p[:1+r.IntN(len(p))]
		case 2:
			p = append(p, 0)
		}
		all = append(all, p)
	}
	return all
}

// corpus reads the byte strings of the fuzz targets of package route.
func corpus(t *testing.T, targets ...string) (all [][]byte) {
	t.Helper()
	for _, target := range targets {
		files, err := filepath.Glob("../../../route/testdata/fuzz/" + target + "/*")
		if err != nil || len(files) == 0 {
			t.Fatalf("no corpus of %s: %v", target, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				quoted, ok := strings.CutPrefix(strings.TrimSpace(line), "[]byte(")
				if !ok {
					continue
				}
				b, err := strconv.Unquote(strings.TrimSuffix(quoted, ")"))
				if err != nil {
					t.Fatal(err)
				}
				if len(b) > 0 {
					all = append(all, []byte(b), packettest.Repair([]byte(b)))
				}
			}
		}
	}
	return all
}

// datagram is a frame with a datagram of a peer's program.
func datagram(from, to netip.AddrPort, tos byte, payload []byte) []byte {
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	udp = append(append(udp, 0, 0), payload...)
	outer := packettest.Spec{
		Src: from.Addr().String(), Dst: to.Addr().String(), TOS: tos, Flags: packet.FlagDF, Payload: udp,
	}.Build()
	return append([]byte{12: 0x08, 13: 0}, outer...)
}

// checkOuter compares what surrounds a packet with what route asked for.
func checkOuter(t *testing.T, frame []byte, want encaptest.Datagram) {
	t.Helper()
	outer, err := packet.Parse(frame[14:])
	if err != nil {
		t.Fatalf("%x: %v", frame, err)
	}
	udp := outer.Payload()
	to := netip.AddrPortFrom(outer.Destination(), binary.BigEndian.Uint16(udp[2:]))
	switch {
	case to != want.Addr, outer.Source() != netip.MustParseAddr("192.0.2.1"):
		t.Fatalf("sent from %s to %s, want %s", outer.Source(), to, want.Addr)
	case outer.TOS() != want.TOS, !outer.DontFragment(), outer.TTL() != 64:
		t.Fatalf("outer header %x, want type of service %d", []byte(outer.Header()), want.TOS)
	case int(binary.BigEndian.Uint16(udp[4:])) != len(udp), udp[6] != 0, udp[7] != 0:
		t.Fatalf("UDP header %x of %d bytes", udp[:8], len(udp))
	case !bytes.Equal(udp[8:], want.Payload):
		t.Fatalf("sent %x, want %x", udp[8:], want.Payload)
	}
}

// wire has both ways out of flannel0 of host 1: the program's, and user
// space's.
type wire struct {
	in      int // sends to flannel0, as the host's kernel does
	index   int
	peer    int // sees the frames that arrive at host 2
	overlay int // reads flannel0
}

func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{}
	linktest.In(t, "h1", func() (err error) {
		if w.overlay, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		request, err := unix.NewIfreq("flannel0")
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(w.overlay, unix.TUNSETIFF, request); err != nil {
			return err
		}
		w.index = indexOf("flannel0")
		w.in, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	linktest.In(t, "h2", func() (err error) {
		const all = unix.ETH_P_ALL << 8 // others come behind the programs
		if w.peer, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
			return err
		}
		return unix.Bind(w.peer, &unix.SockaddrLinklayer{Protocol: all, Ifindex: indexOf("eth0")})
	})
	t.Cleanup(func() {
		for _, fd := range []int{w.in, w.peer, w.overlay} {
			unix.Close(fd)
		}
	})
	return w
}

// pass sends a packet into flannel0, and returns the frame that the program
// made, or the packet that it left.
func (w *wire) pass(t *testing.T, p []byte) (frame, left []byte) {
	t.Helper()
	to := &unix.SockaddrLinklayer{Protocol: unix.ETH_P_IP<<8&0xff00 | unix.ETH_P_IP>>8, Ifindex: w.index}
	if err := unix.Sendto(w.in, p, 0, to); err != nil {
		t.Fatalf("send %d bytes: %v", len(p), err)
	}
	buf := make([]byte, 70_000)
	fds := []unix.PollFd{{Fd: int32(w.peer), Events: unix.POLLIN}, {Fd: int32(w.overlay), Events: unix.POLLIN}}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if n, err := unix.Poll(fds, 1000); err != nil && err != unix.EINTR || n == 0 {
			continue
		}
		if fds[1].Revents != 0 {
			n, err := unix.Read(w.overlay, buf)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 && (buf[0]>>4 != 6 || bytes.Equal(buf[:n], p)) { // IPv6: the host's own
				return nil, buf[:n]
			}
			continue
		}
		n, _, err := unix.Recvfrom(w.peer, buf, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n >= 42 && buf[23] == packet.UDP {
			return buf[:n], nil
		}
	}
	t.Fatalf("packet %x went nowhere", p)
	return nil, nil
}
