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
	"flanneld/internal/packet"
)

// fragments cuts a packet in two after so many bytes of its payload.
func fragments(whole []byte, cut int) [][]byte {
	const header = packet.HeaderLen
	var all [][]byte
	for _, part := range []struct{ from, to int }{{0, cut}, {cut, len(whole) - header}} {
		f := append(append([]byte{}, whole[:header]...), whole[header+part.from:header+part.to]...)
		offset := uint16(part.from / 8)
		if part.from == 0 {
			offset |= packet.FlagMF
		}
		binary.BigEndian.PutUint16(f[6:], offset)
		packet.SetLength(f, len(f))
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
