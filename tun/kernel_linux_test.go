// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package tun

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// These tests hold what Segmenter and Coalescer do against what the kernel does
// with the same packets. The test's namespace is a router between two devices:
//
//	superpackets ──► in (offloads) ── kernel forwards ── out (none) ──► segments
//
// Whatever enters in one piece must leave in pieces, as the second device takes
// no superpackets.
type router struct {
	in, out *Queue
	batch   *Batch
	pending [][]byte
}

func newRouter(t *testing.T) *router {
	t.Helper()
	isolate(t)
	in := openDevice(t, Config{Name: "in", Offloads: everything})
	out := openDevice(t, Config{Name: "out"})
	for name, third := range map[string]byte{"in": 1, "out": 2} {
		ifreq(t, name, unix.SIOCSIFADDR, func(r *unix.Ifreq) { r.SetInet4Addr([]byte{10, 244, third, 250}) })
		ifreq(t, name, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) { r.SetInet4Addr([]byte{255, 255, 255, 0}) })
		ifreq(t, name, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(unix.IFF_UP) })
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { out.Close() })
	t.Cleanup(func() { watchdog.Stop() })
	return &router{in: in.Queues()[0], out: out.Queues()[0], batch: NewBatch(128, 1500, 256<<10)}
}

// leaving reads n packets of the test's flows that the kernel has forwarded.
func (r *router) leaving(t *testing.T, n int) [][]byte {
	t.Helper()
	for len(r.pending) < n {
		if _, err := r.out.Read(r.batch); err != nil {
			t.Fatalf("%d of %d packets came out: %v", len(r.pending), n, err)
		}
		for _, p := range r.batch.Packets {
			if len(p.Data) >= 20 && p.Data[0]>>4 == 4 && [4]byte(p.Data[16:20]) == [4]byte{10, 244, 2, 5} {
				r.pending = append(r.pending, slices.Clone(p.Data))
			}
		}
	}
	got := r.pending[:n]
	r.pending = r.pending[n:]
	return got
}

// taken are the offloads that this kernel offers to a device: UDP segments
// since Linux 6.2 only. The test asks the kernel directly, without the code
// under test.
func taken(t *testing.T) Offloads {
	t.Helper()
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("asked%d")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Fatal(err)
	}
	err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_USO4|unix.TUN_F_USO6)
	if err != nil && err != unix.EINVAL {
		t.Fatal(err)
	}
	return Offloads{Checksum: true, TCP: true, UDP: err == nil}
}

// usesWhatIsTaken fails the test unless the device uses all these offloads, and
// reports the others as refused by the kernel.
func usesWhatIsTaken(t *testing.T, d *Device) {
	t.Helper()
	takes := taken(t)
	want := map[string]bool{"tun-csum": takes.Checksum, "tun-tso": takes.TCP, "tun-uso": takes.UDP}
	for _, o := range d.Offloads() {
		if o.Used != want[o.Name] || !o.Used && !strings.Contains(o.Note, "kernel refuses") {
			t.Errorf("%s: used %v (%s), the kernel takes it: %v", o.Name, o.Used, o.Note, want[o.Name])
		}
	}
}

// routed is a packet as a router leaves it.
func routed(p []byte) []byte {
	p = slices.Clone(p)
	p[8]--
	binary.BigEndian.PutUint16(p[10:], 0)
	binary.BigEndian.PutUint16(p[10:], ^packettest.SlowSum(p[:int(p[0]&15)*4], 0))
	return p
}

// superpackets are n random specs with segment sizes, the same every time. No
// segment size of TCP is below least.
func superpackets(n, least int, each func(spec packetSpec, size int)) {
	random := rand.New(rand.NewPCG(1, 2))
	flags := []byte{flagACK, flagACK | flagPSH, flagACK | flagPSH | flagFIN, flagACK | flagECE, flagACK | flagCWR}
	for i := range n {
		spec := packetSpec{
			udp: i%2 == 0, id: uint16(random.Uint32()), tos: byte(random.Uint32()) &^ 3, port: byte(i),
			sequence: random.Uint32(), ack: random.Uint32(), window: uint16(random.Uint32()),
			flags:      flags[random.IntN(len(flags))],
			tcpOptions: bytes.Repeat([]byte{1}, 4*random.IntN(5)),
		}
		size := 1 + random.IntN(1400)
		if i%4 < 2 { // the smallest, too
			size = 1 + i/4%24
		}
		if !spec.udp {
			size = max(size, least)
		}
		spec.payload = pattern(min(60000, size+1+random.IntN(maxRun*size-size)), i)
		each(spec, size)
	}
}

func TestKernelCutsAsSegmenterDoes(t *testing.T) {
	r, takes := newRouter(t), taken(t)
	superpackets(300, minSegment, func(spec packetSpec, size int) {
		p := spec.build()
		want := slowSegments(p, size)
		s, _ := NewSegmenter(Packet{Data: slices.Clone(p), SegmentSize: size})
		if ours := cut(s); !slices.EqualFunc(ours, want, bytes.Equal) {
			t.Fatal("Segmenter is wrong about its own reference")
		}
		l, _ := packet.LayoutOf(p)
		at := l.IP + tcpChecksum
		if spec.udp {
			at = l.IP + udpChecksum
		}
		binary.BigEndian.PutUint16(p[at:], packet.PseudoHeader(p, len(p)-l.IP).Fold())
		err := r.in.writeSuperpacket(&Run{Buffers: [][]byte{p}, Packets: len(want), SegmentSize: size, layout: l})
		if spec.udp && !takes.UDP {
			if err != unix.EINVAL {
				t.Fatalf("%+v, which the kernel does not take: %v, want %v", l, err, unix.EINVAL)
			}
			return
		}
		if err != nil {
			t.Fatalf("%+v: %v", l, err)
		}
		compare(t, fmt.Sprintf("UDP %v, %d bytes in segments of %d", spec.udp, len(p), size), r.leaving(t, len(want)), want)
	})
}

// compare compares the router's output with the expected one.
func compare(t *testing.T, what string, got, want [][]byte) {
	t.Helper()
	for i := range want {
		if w := routed(want[i]); !bytes.Equal(got[i], w) {
			t.Fatalf("%s: segment %d of %d is\n%x, the kernel's is\n%x", what, i, len(want), w, got[i])
		}
	}
}

// Packets that are put together leave the kernel unchanged.
func TestKernelUndoesWhatCoalescerDoes(t *testing.T) {
	r := newRouter(t)
	merged := 0
	superpackets(300, 1, func(spec packetSpec, size int) {
		want := slowSegments(spec.build(), size)
		c := NewCoalescer(sinkFunc(func(run *Run) {
			merged += run.Packets - 1
			if err := r.in.WriteRun(run); err != nil {
				t.Fatal(err)
			}
		}))
		c.Use(r.in.Offloads())
		for _, p := range want {
			c.Add(slices.Clone(p))
		}
		c.Flush()
		compare(t, fmt.Sprintf("UDP %v, segments of %d", spec.udp, size), r.leaving(t, len(want)), want)
	})
	if merged == 0 || r.in.Offloads() != taken(t) {
		t.Errorf("%d packets merged, offloads afterwards %+v", merged, r.in.Offloads())
	}
}

type sinkFunc func(*Run)

func (f sinkFunc) WriteRun(r *Run) { f(r) }

// A kernel that refuses superpackets gets packets, and those in hand are not
// lost. (The refusal is simulated here: the device accepts them.)
func TestRefusedRunGoesPacketByPacket(t *testing.T) {
	r := newRouter(t)
	for _, udp := range []bool{true, false} {
		want := slowSegments(packetSpec{udp: udp, id: 9, payload: pattern(5000, 0)}.build(), 999)
		c := NewCoalescer(sinkFunc(func(run *Run) {
			if err := r.in.writeSegments(run); err != nil {
				t.Fatal(err)
			}
		}))
		c.Use(everything)
		for _, p := range want {
			c.Add(slices.Clone(p))
		}
		c.Flush()
		compare(t, "refused", r.leaving(t, len(want)), want)
		if o := r.in.Offloads(); udp && o.UDP || !udp && o.TCP {
			t.Errorf("UDP %v: offloads afterwards %+v", udp, o)
		}
	}
}

// Data that a socket of this host sends comes as a superpacket, and is marked
// as one.
func TestKernelGivesSuperpackets(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0", Offloads: everything})
	configure(t, "flannel0")
	usesWhatIsTaken(t, d)
	fd := udpSocket(t, 2000)
	if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 1000); err != nil {
		t.Fatal(err)
	}
	payload := pattern(9500, 0)
	if err := unix.Sendto(fd, payload, 0, &unix.SockaddrInet4{Addr: [4]byte{10, 244, 2, 5}, Port: 3000}); err != nil {
		t.Fatal(err)
	}
	if got := readPort(t, d.Queues()[0], 3000, len(payload)); taken(t).UDP {
		s, ok := NewSegmenter(got[0])
		if segments := cut(s); !ok || got[0].SegmentSize != 1000 || len(segments) != 10 || !slowValid(segments[9]) {
			t.Errorf("%d segments of %d bytes", len(segments), got[0].SegmentSize)
		}
	} else if len(got) != 10 || got[0].SegmentSize != 0 || len(got[9].Data) != 528 || !slowValid(got[9].Data) {
		t.Errorf("%d packets from a kernel that does not leave UDP in one piece, the first of segments of %d bytes", len(got), got[0].SegmentSize)
	}
}

// readPort reads UDP packets to the port until they carry that many bytes.
func readPort(t *testing.T, q *Queue, port uint16, bytes int) (got []Packet) {
	t.Helper()
	for b := NewBatch(8, packet.MaxLen, 128<<10); bytes > 0; {
		if _, err := readSome(q, b); err != nil {
			t.Fatal(err)
		}
		for _, p := range b.Packets {
			if len(p.Data) > 28 && p.Data[0] == 0x45 && p.Data[9] == packet.UDP && binary.BigEndian.Uint16(p.Data[22:]) == port {
				p.Data = slices.Clone(p.Data)
				got = append(got, p)
				bytes -= len(p.Data) - 28
			}
		}
	}
	return got
}

// The next program that opens the device does not get superpackets that it
// cannot read.
func TestOffloadsEndWithTheQueue(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0", Offloads: everything})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openDevice(t, Config{Name: "flannel0"})
	configure(t, "flannel0")
	for i, o := range d.Offloads() {
		if want := []string{"tun-csum", "tun-tso", "tun-uso"}[i]; o.Used || o.Name != want || o.Note == "" {
			t.Errorf("%+v, want %s, not used, with the reason", o, want)
		}
	}
	fd := udpSocket(t, 2000)
	if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 1000); err != nil {
		t.Fatal(err)
	}
	err := unix.Sendto(fd, pattern(2500, 0), 0, &unix.SockaddrInet4{Addr: [4]byte{10, 244, 2, 5}, Port: 3000})
	if err == unix.EIO {
		// Linux before 6.11 cuts nothing for a device that computes no
		// checksums.
		checksumIsFilledIn(t, d)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var lengths []int
	for _, p := range readPort(t, d.Queues()[0], 3000, 2500) {
		if slowValid(p.Data) {
			lengths = append(lengths, len(p.Data))
		}
	}
	if !slices.Equal(lengths, []int{1028, 1028, 528}) {
		t.Errorf("packets of %v bytes", lengths)
	}
}

// checksumIsFilledIn sends a datagram: it leaves with its checksum.
func checksumIsFilledIn(t *testing.T, d *Device) {
	t.Helper()
	fd := udpSocket(t, 2001)
	if err := unix.Sendto(fd, pattern(1000, 0), 0, &unix.SockaddrInet4{Addr: [4]byte{10, 244, 2, 5}, Port: 3001}); err != nil {
		t.Fatal(err)
	}
	if p := readPort(t, d.Queues()[0], 3001, 1000)[0]; p.SegmentSize != 0 || !slowValid(p.Data) {
		t.Errorf("a packet with a wrong checksum, or a superpacket: %x", p.Data[:28])
	}
}

// The kernel checks a superpacket before it checks whether the device is up. So
// a device that is down shows what it would refuse or accept.
func TestProbeTellsWhatTheKernelTakes(t *testing.T) {
	isolate(t)
	fd, err := openProbe()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, protocol := range []byte{packet.TCP, packet.UDP} {
		frame, want := probeFrame(protocol, 1), unix.EIO
		if protocol == packet.UDP && !taken(t).UDP {
			want = unix.EINVAL
		}
		if errno := rawWrite(fd, frame); errno != want {
			t.Errorf("protocol %d: %v, want %v", protocol, errno, want)
		}
		h := parseVirtio(frame)
		h.checksumStart = uint16(len(frame))
		h.put(frame)
		if errno := rawWrite(fd, frame); errno != unix.EINVAL {
			t.Errorf("protocol %d, checksum outside: %v, want %v", protocol, errno, unix.EINVAL)
		}
	}
}

// Nothing remains of the probe, and a device in use shows no trace.
func TestProbeLeavesNoTrace(t *testing.T) {
	isolate(t)
	before, _ := interfaces(t)
	d := openDevice(t, Config{Name: "flannel0", Offloads: everything})
	configure(t, "flannel0")
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = openDevice(t, Config{Name: "flannel0", Offloads: everything}) // up, with an address
	}
	usesWhatIsTaken(t, d)
	after, received := interfaces(t)
	if got := received["flannel0"]; got != "0 0 0 0 0 0" {
		t.Errorf("flannel0 received %v", got)
	}
	want := append(before, "flannel0")
	slices.Sort(want)
	if !slices.Equal(after, want) {
		t.Errorf("devices %v, want %v", after, want)
	}
}

// interfaces lists the interfaces of the thread's namespace, sorted, and what
// each has received: bytes packets errs drop fifo frame. A new namespace may
// have more than the loopback interface: some modules add one to each.
func interfaces(t *testing.T) (names []string, received map[string]string) {
	t.Helper()
	table, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	received = map[string]string{}
	for line := range strings.Lines(string(table)) {
		name, counters, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		name = strings.TrimSpace(name)
		names = append(names, name)
		received[name] = strings.Join(strings.Fields(counters)[:6], " ")
	}
	slices.Sort(names)
	return names, received
}
