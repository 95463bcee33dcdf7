// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package pathrules

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"flanneld/internal/host/link/linktest"
)

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

func newWire(t testing.TB, ns, device string) *wire {
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
