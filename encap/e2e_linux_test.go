// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package encap

import (
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests change interfaces, each in a network namespace of its own. They
// need root.

// isolate moves the test's goroutine to a thread with its own network
// namespace. The goroutine stays locked to it, so both end with the test.
func isolate(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("unshare the network namespace (needs root): %v", err)
	}
}

func TestTooLongForTheInterface(t *testing.T) {
	isolate(t)
	setLoopback(t, 1000)
	a, b := pair(t, Config{})
	exact, long := make([]byte, 972), make([]byte, 973)
	msgs := []Message{
		{Addr: b.LocalAddr(), Buffers: [][]byte{exact}},
		{Addr: b.LocalAddr(), Buffers: [][]byte{long}},
		{Addr: b.LocalAddr(), Buffers: [][]byte{long[:500], exact[:500]}},
		{Addr: b.LocalAddr(), Buffers: [][]byte{exact}},
	}
	if n, err := a.Send(msgs); n != 2 || err != nil {
		t.Errorf("Send = %d, %v; want 2 messages", n, err)
	}
	for i, want := range []error{nil, ErrTooLong, ErrTooLong, nil} {
		if msgs[i].Err != want {
			t.Errorf("message %d: %v, want %v", i, msgs[i].Err, want)
		}
	}
	// Any thread will do: this one is in the namespace of the other tests.
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if mtu, err := a.PathMTU(netip.MustParseAddr("127.0.0.1")); mtu != 1000 || err != nil {
			t.Errorf("path MTU %d, %v; want 1000", mtu, err)
		}
	}()
	<-asked
	if _, err := a.PathMTU(netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Error("a path MTU to where no route goes")
	}
}

// A link that never delivers: the neighbor does not exist, so what is sent to
// it waits for an answer to ARP and fills the send buffer.
func stuckConn(t *testing.T) (c *Conn, neighbor netip.AddrPort) {
	t.Helper()
	isolate(t)
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	req, err := unix.NewIfreq("link0")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		t.Fatal(err)
	}
	ifreq(t, "link0", unix.SIOCSIFADDR, func(r *unix.Ifreq) { r.SetInet4Addr([]byte{192, 168, 7, 1}) })
	ifreq(t, "link0", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(unix.IFF_UP) })
	conns, err := Listen(netip.MustParseAddrPort("192.168.7.1:0"), Config{BufferSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conns[0].Close() })
	return conns[0], netip.MustParseAddrPort("192.168.7.2:8285")
}

func TestFullSendBufferIsNotWaitedFor(t *testing.T) {
	c, neighbor := stuckConn(t)
	msgs := make([]Message, 30)
	for i := range msgs {
		msgs[i] = Message{Addr: neighbor, Buffers: [][]byte{make([]byte, 1000)}}
	}
	n, err := c.Send(msgs)
	if n == 0 || n == len(msgs) || err != nil {
		t.Fatalf("Send = %d, %v; want some of %d", n, err, len(msgs))
	}
	for i := range msgs {
		if want := i >= n; (msgs[i].Err == ErrBufferFull) != want {
			t.Errorf("message %d of which %d were sent: %v", i, n, msgs[i].Err)
		}
	}
}

// setLoopback brings the namespace's loopback interface up with this MTU.
func setLoopback(t *testing.T, mtu uint32) {
	t.Helper()
	ifreq(t, "lo", unix.SIOCSIFMTU, func(r *unix.Ifreq) { r.SetUint32(mtu) })
	ifreq(t, "lo", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(unix.IFF_UP) })
}

// ifreq does one ioctl on an interface.
func ifreq(t *testing.T, name string, op uint, set func(*unix.Ifreq)) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	set(req)
	if err := unix.IoctlIfreq(fd, op, req); err != nil {
		t.Fatal(err)
	}
}
