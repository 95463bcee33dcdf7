// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"flanneld/test/lab"
)

// Both ends of a measurement are blocking sockets, used with plain system calls
// by goroutines that keep their threads: a packet that arrives wakes a thread,
// as it would wake a process of its own. With Go's sockets the two ends would
// be handed to one another by its scheduler.

// patience is how long a socket waits before it checks whether the measurement
// is over.
const patience = 50 * time.Millisecond

// buffers of UDP sockets, large enough for whatever a path holds back.
const udpBuffer = 16 << 20

func sockaddr(at netip.AddrPort) unix.Sockaddr {
	return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
}

// open opens a socket in a namespace and prepares it there. The caller closes
// it.
func open(ns *lab.Namespace, kind, protocol int, prepare func(fd int) error) (fd int, err error) {
	err = ns.Do(func() error {
		fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		timeout := unix.NsecToTimeval(patience.Nanoseconds())
		if err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err == nil {
			err = prepare(fd)
		}
		if err != nil {
			unix.Close(fd)
		}
		return err
	})
	return fd, err
}

// openUDP opens a UDP socket bound to local, or connected to remote, or both.
func openUDP(ns *lab.Namespace, local, remote netip.AddrPort) (int, error) {
	return open(ns, unix.SOCK_DGRAM, unix.IPPROTO_UDP, func(fd int) error {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, udpBuffer)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, udpBuffer)
		if local.IsValid() {
			if err := unix.Bind(fd, sockaddr(local)); err != nil {
				return fmt.Errorf("bind to %v: %w", local, err)
			}
		}
		if remote.IsValid() {
			if err := unix.Connect(fd, sockaddr(remote)); err != nil {
				return fmt.Errorf("connect to %v: %w", remote, err)
			}
		}
		return nil
	})
}

// connection is both ends of a TCP connection between two pods.
type connection struct{ client, server int }

// connect opens a connection; from is the client's pod, to the server's. Its
// congestion control is the pods' ([chooseCongestion]).
func connect(from, to *lab.Pod, port uint16) (c connection, err error) {
	at := netip.AddrPortFrom(to.Addr, port)
	listener, err := open(to.Namespace, unix.SOCK_STREAM, 0, func(fd int) error {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if err := unix.Bind(fd, sockaddr(at)); err != nil {
			return fmt.Errorf("bind to %v: %w", at, err)
		}
		return unix.Listen(fd, 8)
	})
	if err != nil {
		return c, err
	}
	defer unix.Close(listener)
	c.client, err = open(from.Namespace, unix.SOCK_STREAM, 0, func(fd int) error {
		// A moment for the handshake; a write may take longer.
		limit := unix.Timeval{Sec: 5}
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
		if err := unix.Connect(fd, sockaddr(at)); err != nil {
			return fmt.Errorf("connect to %v: %w", at, err)
		}
		return nil
	})
	if err != nil {
		return c, err
	}
	// The runtime's own signals interrupt it.
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		c.server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	}
	if err != nil {
		unix.Close(c.client)
		return c, fmt.Errorf("accept at %v: %w", at, err)
	}
	return c, nil
}

// end makes calls return that wait for the connection's ends.
func (c connection) end() {
	unix.Shutdown(c.client, unix.SHUT_RDWR)
	unix.Shutdown(c.server, unix.SHUT_RDWR)
}

func (c connection) close() {
	unix.Close(c.client)
	unix.Close(c.server)
}

// temporary reports whether a socket has only waited in vain.
func temporary(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) }
