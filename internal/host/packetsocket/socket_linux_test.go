// SPDX-License-Identifier: Apache-2.0

package packetsocket

import (
	"errors"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Without the right to open such sockets a Sender says so. With it, there is no
// such device. Either way nothing is sent.
func TestASenderSaysWhyItDoesNotSend(t *testing.T) {
	var s Sender
	defer s.Close()
	for _, device := range []string{"none-such-dev", "", "a-name-that-no-device-has"} {
		if err := s.Send(device, macB, tcp(1), Offload{}); !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENODEV) {
			t.Errorf("%q: %v", device, err)
		}
	}
	if err := s.SendIPIP(netip.Addr{}, here, tcp(1)); !errors.Is(err, ErrPacket) {
		t.Errorf("from nowhere: %v", err)
	}
	if err := Receive(t.Context(), "none-such-dev", here, nil); !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENODEV) {
		t.Errorf("receive: %v", err)
	}
	if err := Receive(t.Context(), "lo", netip.Addr{}, nil); !errors.Is(err, ErrPacket) {
		t.Errorf("receive for no address: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Send("lo", macB, tcp(1), Offload{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestAFullQueueLosesThePacket(t *testing.T) {
	for errno, want := range map[error]error{nil: nil, unix.ENOBUFS: nil, unix.EAGAIN: nil, unix.EMSGSIZE: ErrTooLong, unix.EPERM: unix.EPERM} {
		if err := sent("eth0", errno); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%v became %v", errno, err)
		}
	}
}
