// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Mischief is what a [Relay] does to frames with overlay packets, in either
// direction: to one in so many. Zero means to none.
type Mischief struct {
	Loss, Duplication, Reordering int

	// Sums are checksums of TCP inside of VXLAN that a sender leaves to the
	// device. Broken network cards do not compute them.
	Sums bool

	Seed uint64 // the same datagrams suffer from the same seed
}

// Relay is a stretch of the underlay in which frames with overlay packets get
// lost, doubled and overtaken, by whatever path the packets travel. The kernel
// can do that only with a module that not every machine has. The relay sees
// single frames, as a wire does, and the host behind it receives them as from a
// network card that has GRO.
type Relay struct{ out, back *direction }

// RelayCount is what a [Relay] did to frames with overlay packets.
type RelayCount struct {
	Frames      int64
	Lost        int64
	Doubled     int64
	Overtaken   int64 // that at least one other left before
	Unsegmented int64 // were larger than a frame: must be zero
	Missed      int64 // frames of any kind that were lost by accident
}

// Relay puts a relay between a host and the switch. The host's link is down for
// a moment.
//
//	host eth0 -- near [relay] far -- hostN, port of the switch
func (l *Lab) Relay(h *Host, m Mischief) *Relay {
	l.t.Helper()
	t, port := l.t, fmt.Sprintf("host%d", h.Number)
	wire := NewNamespace(t, l.name(fmt.Sprintf("wire%d", h.Number)))
	l.Switch.Exec(t, "ip", "link", "set", port, "netns", wire.Name, "name", "near")
	wire.Exec(t, "ip", "link", "set", "near", "up")
	l.Wire(wire, "far", l.Switch, port, 1500)
	l.Switch.Exec(t, "ip", "link", "set", port, "master", "br0")
	// Trains and superpackets are cut before they enter the wire.
	h.Exec(t, "ip", "link", "set", "eth0", "gso_max_segs", "1")
	l.Switch.Exec(t, "ip", "link", "set", port, "gso_max_segs", "1")
	// The host puts together again what leaves the relay, as from a network
	// card. A veth device does so if its peer has no TSO. It has to wait a
	// little, because frames come to it one by one. (Only ip has a /sys of the
	// namespace.)
	wire.Exec(t, "ethtool", "-K", "near", "tso", "off")
	h.Exec(t, "ethtool", "-K", "eth0", "gro", "on")
	h.Exec(t, "ip", "netns", "exec", h.Name, "sh", "-c", "echo 50000 >/sys/class/net/eth0/gro_flush_timeout") // ns

	near, far := wire.openFrames(t, "near"), wire.openFrames(t, "far")
	r := &Relay{newDirection(near, far, m, 0), newDirection(far, near, m, 1)}
	for _, d := range []*direction{r.out, r.back} {
		go d.run()
		t.Cleanup(func() { d.from.Close(); <-d.ended })
	}
	return r
}

// Count returns the figures so far, both directions together.
func (r *Relay) Count() RelayCount {
	var sum RelayCount
	for _, d := range []*direction{r.out, r.back} {
		sum.Frames += d.frames.Load()
		sum.Lost += d.lost.Load()
		sum.Doubled += d.doubled.Load()
		sum.Overtaken += d.overtaken.Load()
		sum.Unsegmented += d.unsegmented.Load()
		sum.Missed += d.countMissed()
	}
	return sum
}

// direction carries frames one way. What it carries belongs to its goroutine.
type direction struct {
	from, to *os.File
	mischief Mischief
	random   *rand.Rand
	buffer   []byte
	held     []heldFrame
	ended    chan struct{}

	frames, lost, doubled, overtaken, unsegmented, missed atomic.Int64
}

// heldFrame leaves after so many others have, or when nothing has come for a
// while.
type heldFrame struct {
	frame     []byte
	wait      int
	overtaken bool
}

const (
	// maxOvertaking is by how many frames one is overtaken at most.
	maxOvertaking = 16

	// maxHolding is how long a frame is held when no other comes.
	maxHolding = 2 * time.Millisecond

	// virtioHeader stands before each frame: whether it has its checksum yet
	// (virtio 1.2, section 5.1.6).
	virtioHeader = 10

	// longestFrame is the length of a superpacket, which must not occur.
	longestFrame = virtioHeader + 14 + 1<<16
)

func newDirection(from, to *os.File, m Mischief, stream uint64) *direction {
	return &direction{
		from: from, to: to, mischief: m,
		random: rand.New(rand.NewPCG(m.Seed, stream)),
		buffer: make([]byte, longestFrame),
		ended:  make(chan struct{}),
	}
}

// run carries frames until the socket is closed.
func (d *direction) run() {
	defer close(d.ended)
	for {
		n, err := d.from.Read(d.buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			d.release(maxOvertaking)
			d.from.SetReadDeadline(time.Time{})
		case errors.Is(err, os.ErrClosed):
			return
		case err == nil:
			if d.mischief.Sums {
				breakSum(d.buffer[:n])
			}
			if hasOverlay(d.buffer[:n]) {
				d.carry(d.buffer[:n])
			} else {
				d.write(d.buffer[:n])
			}
		}
	}
}

// carry loses, doubles or holds a frame, as chance decides.
func (d *direction) carry(frame []byte) {
	d.frames.Add(1)
	if frame[1] != unix.VIRTIO_NET_HDR_GSO_NONE {
		d.unsegmented.Add(1)
	}
	switch {
	case d.chance(d.mischief.Loss):
		d.lost.Add(1)
		return
	case d.chance(d.mischief.Reordering):
		d.held = append(d.held, heldFrame{frame: append([]byte(nil), frame...), wait: 1 + d.random.IntN(maxOvertaking)})
		d.from.SetReadDeadline(time.Now().Add(maxHolding))
		return
	case d.chance(d.mischief.Duplication):
		d.doubled.Add(1)
		d.write(frame)
	}
	d.write(frame)
	for i := range d.held {
		d.held[i].overtaken = true
	}
	d.release(1)
}

// write sends a frame on. What the device refuses counts as missed.
func (d *direction) write(frame []byte) {
	if _, err := d.to.Write(frame); err != nil {
		d.missed.Add(1)
	}
}

// chance is true once in n times, never when n is zero.
func (d *direction) chance(n int) bool { return n > 0 && d.random.IntN(n) == 0 }

// release lets go those held frames that have waited for long enough once n
// more frames count as having left.
func (d *direction) release(n int) {
	kept := d.held[:0]
	for _, h := range d.held {
		if h.wait -= n; h.wait > 0 {
			kept = append(kept, h)
			continue
		}
		d.write(h.frame)
		if h.overtaken {
			d.overtaken.Add(1)
		}
	}
	d.held = kept
}

// breakSum takes away that a checksum is still to be computed, where it is one
// of a packet in another one.
func breakSum(frame []byte) {
	const headers = 14 + 20 // what a checksum outside comes after
	if frame[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 && binary.NativeEndian.Uint16(frame[6:]) > headers {
		clear(frame[:virtioHeader])
	}
}

// countMissed asks the kernel, which resets its count with the answer.
func (d *direction) countMissed() int64 {
	raw, err := d.from.SyscallConn()
	if err != nil {
		return d.missed.Load()
	}
	raw.Control(func(fd uintptr) {
		if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			d.missed.Add(int64(s.Drops))
		}
	})
	return d.missed.Load()
}

// hasOverlay reports whether a frame has an overlay packet in it: in a datagram
// of the data port or of VXLAN's, in IP (protocol 4), or as it is.
func hasOverlay(frame []byte) bool {
	const ip = virtioHeader + 14
	if len(frame) < ip+20 || binary.BigEndian.Uint16(frame[ip-2:]) != unix.ETH_P_IP {
		return false
	}
	switch frame[ip+9] {
	case unix.IPPROTO_IPIP:
		return true
	case unix.IPPROTO_UDP:
		udp := ip + int(frame[ip]&0x0f)*4
		if len(frame) >= udp+8 && slices.Contains([]uint16{8285, 8472}, binary.BigEndian.Uint16(frame[udp+2:])) {
			return true
		}
	}
	return Overlay.Contains(netip.AddrFrom4([4]byte(frame[ip+12:])))
}

// openFrames opens a socket for the frames that arrive at a device, each with a
// virtio header in front, and for sending such frames.
func (ns *Namespace) openFrames(t TB, device string) *os.File {
	t.Helper()
	var file *os.File
	err := ns.Do(func() (err error) {
		file, err = openFrames(device)
		return err
	})
	if err != nil {
		t.Fatalf("%s: open %s for frames: %v", ns.Name, device, err)
	}
	return file
}

func openFrames(device string) (*os.File, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return nil, err
	}
	// Without a protocol the socket gets nothing before it is bound.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), device)
	const everything = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8&0xff00 // in network order
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: link.Index}),
	)
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
