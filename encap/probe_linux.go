// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// probe is a socket that is never used to send. The kernel reports a path MTU
// only for a connected socket, and a lane's socket is not connected.
//
// It is opened together with the lane's socket, and not on demand. So both are
// in the same network namespace whichever thread calls.
type probe struct {
	mu sync.Mutex
	fd int
}

// open opens the socket. The local address matters, because routes may depend
// on it.
func (p *probe) open(local netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()}); err != nil {
		unix.Close(fd)
		return err
	}
	p.fd = fd
	return nil
}

func (p *probe) close() error { return unix.Close(p.fd) }

// discard is the port that the probe connects to (RFC 863). It could be any.
const discard = 9

// pathMTU connects to remote, which makes the kernel look its route up anew,
// and asks for the MTU.
func (p *probe) pathMTU(remote netip.Addr) (int, error) {
	if !remote.Is4() {
		return 0, unix.EAFNOSUPPORT
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := unix.Connect(p.fd, &unix.SockaddrInet4{Addr: remote.As4(), Port: discard}); err != nil {
		return 0, err
	}
	return unix.GetsockoptInt(p.fd, unix.IPPROTO_IP, unix.IP_MTU)
}

// PathMTU asks the kernel how large an IP packet to addr may be, outer headers
// included. The answer is the MTU of the route's interface, or a smaller one
// from a router's ICMP message. It takes two system calls and is meant for the
// moment after ErrTooLong.
func (c *Conn) PathMTU(addr netip.Addr) (int, error) {
	if !c.descriptor.Acquire() {
		return 0, net.ErrClosed
	}
	defer c.descriptor.Release()
	mtu, err := c.probe.pathMTU(addr.Unmap())
	if err != nil {
		return 0, fmt.Errorf("encap: path MTU to %s: %w", addr, err)
	}
	return mtu, nil
}
