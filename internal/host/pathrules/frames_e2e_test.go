// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package pathrules

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
)

// Frames are made by hand, so that each field can be forged.

func ether(dst, src net.HardwareAddr, kind uint16, payload []byte) []byte {
	b := append(append([]byte{}, dst...), src...)
	return append(binary.BigEndian.AppendUint16(b, kind), payload...)
}

// ipv4 is a packet; options fill up to 4 bytes.
func ipv4(src, dst netip.Addr, proto byte, options, payload []byte) []byte {
	h := make([]byte, 20+len(options))
	h[0] = 4<<4 | byte(len(h)/4)
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(payload)))
	binary.BigEndian.PutUint16(h[4:], 7)
	h[8], h[9] = 64, proto
	copy(h[12:], src.AsSlice())
	copy(h[16:], dst.AsSlice())
	copy(h[20:], options)
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(h, payload...)
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 > 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// udp is a datagram without a checksum.
func udp(from, to uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

func vxlanHeader(vni uint32, frame []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 1<<27) // the VNI is valid
	return append(binary.BigEndian.AppendUint32(b, vni<<8), frame...)
}

// fragments cuts a packet in two after so many bytes of its payload.
func fragments(packet []byte, cut int) [][]byte {
	const header = 20
	var all [][]byte
	for _, part := range []struct{ from, to int }{{0, cut}, {cut, len(packet) - header}} {
		f := append(append([]byte{}, packet[:header]...), packet[header+part.from:header+part.to]...)
		binary.BigEndian.PutUint16(f[2:], uint16(len(f)))
		offset := uint16(part.from / 8)
		if part.from == 0 {
			offset |= 1 << 13 // more follow
		}
		binary.BigEndian.PutUint16(f[6:], offset)
		f[10], f[11] = 0, 0
		binary.BigEndian.PutUint16(f[10:], checksum(f[:header]))
		all = append(all, f)
	}
	return all
}

// wire sends frames from a namespace's device.
type wire struct {
	fd, index int
}

func newWire(t *testing.T, ns, device string) *wire {
	t.Helper()
	w := &wire{}
	linktest.In(t, ns, func() (err error) {
		dev, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		w.index = dev.Index
		if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return fmt.Errorf("open a packet socket: %w", err)
		}
		return nil
	})
	t.Cleanup(func() { unix.Close(w.fd) })
	return w
}

func (w *wire) send(t *testing.T, frame []byte) {
	t.Helper()
	if err := unix.Sendto(w.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index}); err != nil {
		t.Fatal(err)
	}
}
