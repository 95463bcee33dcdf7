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

// routed is a packet as a router leaves it.
func routed(p []byte) []byte {
	p = slices.Clone(p)
	p[8]--
	binary.BigEndian.PutUint16(p[10:], 0)
	binary.BigEndian.PutUint16(p[10:], ^uint16(slowSum(p[:int(p[0]&15)*4], 0)))
	return p
}

// superpackets are n specs with segment sizes, by chance, the same every time. No
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
	r := newRouter(t)
	superpackets(300, minSegment, func(spec packetSpec, size int) {
		p := spec.build()
		want := slowSegments(p, size)
		s, _ := NewSegmenter(Packet{Data: slices.Clone(p), SegmentSize: size})
		if ours := cut(s); !slices.EqualFunc(ours, want, bytes.Equal) {
			t.Fatal("Segmenter is wrong about its own reference")
		}
		f, _ := findFormat(p)
		at := f.ip + tcpChecksum
		if spec.udp {
			at = f.ip + udpChecksum
		}
		binary.BigEndian.PutUint16(p[at:], fold(pseudo(p, len(p)-f.ip)))
		if err := r.in.writeSuperpacket(&Run{Buffers: [][]byte{p}, Packets: len(want), SegmentSize: size, format: f}); err != nil {
			t.Fatalf("%+v: %v", f, err)
		}
		compare(t, fmt.Sprintf("UDP %v, %d bytes in segments of %d", spec.udp, len(p), size), r.leaving(t, len(want)), want)
	})
}

// compare holds what came out of the router against what should have.
func compare(t *testing.T, what string, got, want [][]byte) {
	t.Helper()
	for i := range want {
		if w := routed(want[i]); !bytes.Equal(got[i], w) {
			t.Fatalf("%s: segment %d of %d is\n%x, the kernel's is\n%x", what, i, len(want), w, got[i])
		}
	}
}

// Packets that are put together leave the kernel as they were.
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
	if merged == 0 || r.in.Offloads() != everything {
		t.Errorf("%d packets merged, offloads afterwards %+v", merged, r.in.Offloads())
	}
}

type sinkFunc func(*Run)

func (f sinkFunc) WriteRun(r *Run) { f(r) }

// A kernel that refuses superpackets gets packets, and those in hand are not
// lost. (Here the refusal is made up: the device takes them.)
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

// What a socket of this host sends comes as a superpacket, and says so.
func TestKernelGivesSuperpackets(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0", Offloads: everything})
	configure(t, "flannel0")
	for _, o := range d.Offloads() {
		if !o.Used {
			t.Errorf("%s is not used: %s", o.Name, o.Note)
		}
	}
	fd := udpSocket(t, 2000)
	if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 1000); err != nil {
		t.Fatal(err)
	}
	payload := pattern(9500, 0)
	if err := unix.Sendto(fd, payload, 0, &unix.SockaddrInet4{Addr: [4]byte{10, 244, 2, 5}, Port: 3000}); err != nil {
		t.Fatal(err)
	}
	b := NewBatch(8, maxPacket, 128<<10)
	for {
		if _, err := readSome(d.Queues()[0], b); err != nil {
			t.Fatal(err)
		}
		for _, p := range b.Packets {
			if p.SegmentSize == 0 {
				continue
			}
			s, ok := NewSegmenter(p)
			if segments := cut(s); !ok || p.SegmentSize != 1000 || len(segments) != 10 || !slowValid(segments[9]) {
				t.Errorf("%d segments of %d bytes", len(segments), p.SegmentSize)
			}
			return
		}
	}
}

// Whoever opens the device next does not get superpackets that he cannot read.
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
	if err := unix.Sendto(fd, pattern(2500, 0), 0, &unix.SockaddrInet4{Addr: [4]byte{10, 244, 2, 5}, Port: 3000}); err != nil {
		t.Fatal(err)
	}
	var lengths []int
	for b := NewBatch(8, 1500, 64<<10); len(lengths) < 3; {
		if _, err := readSome(d.Queues()[0], b); err != nil {
			t.Fatal(err)
		}
		for _, p := range b.Packets {
			if len(p.Data) > 28 && p.Data[0] == 0x45 && binary.BigEndian.Uint16(p.Data[22:]) == 3000 && slowValid(p.Data) {
				lengths = append(lengths, len(p.Data))
			}
		}
	}
	if !slices.Equal(lengths, []int{1028, 1028, 528}) {
		t.Errorf("packets of %v bytes", lengths)
	}
}

// The kernel looks at a superpacket before it looks whether the device is up:
// what it refuses and what it would take can be told on one that is not.
func TestProbeTellsWhatTheKernelTakes(t *testing.T) {
	isolate(t)
	fd, err := openProbe()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, protocol := range []byte{protocolTCP, protocolUDP} {
		frame := probeFrame(protocol, 1)
		if errno := rawWrite(fd, frame); errno != unix.EIO {
			t.Errorf("protocol %d: %v, want %v", protocol, errno, unix.EIO)
		}
		h := parseVirtio(frame)
		h.checksumStart = uint16(len(frame))
		h.put(frame)
		if errno := rawWrite(fd, frame); errno != unix.EINVAL {
			t.Errorf("protocol %d, checksum outside: %v, want %v", protocol, errno, unix.EINVAL)
		}
	}
}

// Nothing of the probe stays, nor is anything to be seen of it on a device that
// is in use.
func TestProbeLeavesNoTrace(t *testing.T) {
	isolate(t)
	d := openDevice(t, Config{Name: "flannel0", Offloads: everything})
	configure(t, "flannel0")
	for range 2 {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = openDevice(t, Config{Name: "flannel0", Offloads: everything}) // up, with an address
	}
	for _, o := range d.Offloads() {
		if !o.Used {
			t.Errorf("%s is not used: %s", o.Name, o.Note)
		}
	}
	// Inter-|   Receive: bytes packets errs drop fifo frame ...
	table, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	var devices []string
	for line := range strings.Lines(string(table)) {
		name, counters, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		name = strings.TrimSpace(name)
		devices = append(devices, name)
		if received := strings.Fields(counters)[:6]; name == "flannel0" && strings.Join(received, " ") != "0 0 0 0 0 0" {
			t.Errorf("%s received %v", name, received)
		}
	}
	slices.Sort(devices)
	if !slices.Equal(devices, []string{"flannel0", "lo"}) {
		t.Errorf("devices %v", devices)
	}
}
