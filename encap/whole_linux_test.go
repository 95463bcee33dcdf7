// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"testing"

	"golang.org/x/sys/unix"
)

// wholeTrains asks the kernel, without the code under test, whether its
// loopback device leaves a train in one piece. The one of Linux 5.10 cuts it.
func wholeTrains(t *testing.T) bool {
	t.Helper()
	to, from := loopbackSocket(t), loopbackSocket(t)
	if err := unix.SetsockoptInt(to, unix.SOL_UDP, unix.UDP_GRO, 1); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(from, unix.SOL_UDP, unix.UDP_SEGMENT, 100); err != nil {
		t.Fatal(err)
	}
	addr, err := unix.Getsockname(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendto(from, make([]byte, 200), 0, addr); err != nil {
		t.Fatal(err)
	}
	n, err := unix.Read(to, make([]byte, 1000))
	if err != nil || n != 100 && n != 200 {
		t.Fatalf("of a train of 200 bytes %d arrived: %v", n, err)
	}
	return n == 200
}

// loopbackSocket opens a socket that is closed when the test ends.
func loopbackSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	return fd
}
