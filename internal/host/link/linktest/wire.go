// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package linktest

import (
	"fmt"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Wire sends whole Ethernet frames by a device.
type Wire struct{ fd, index int }

// OpenWire opens a wire to a device of the named network namespace. It is
// closed when the test ends.
func OpenWire(t testing.TB, ns, device string) *Wire {
	t.Helper()
	w := &Wire{}
	In(t, ns, func() (err error) {
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

// Send sends one frame.
func (w *Wire) Send(frame []byte) error {
	return unix.Sendto(w.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index})
}

// MustSend sends one frame, or ends the test.
func (w *Wire) MustSend(t testing.TB, frame []byte) {
	t.Helper()
	if err := w.Send(frame); err != nil {
		t.Fatal(err)
	}
}
