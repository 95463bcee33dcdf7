// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// SendOne sends one datagram from the express source, or from the first one if
// there is no express one. Unlike Send it may be called from any goroutine at
// any time. It does not wait. Errors are ErrTooLong, ErrBufferFull,
// net.ErrClosed, or an error number of the kernel.
func (c *Conn) SendOne(to netip.AddrPort, payload []byte) error {
	if !c.descriptor.Acquire() {
		return net.ErrClosed
	}
	defer c.descriptor.Release()
	fd := c.sources[len(c.sources)-1]
	address := &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().Unmap().As4()}
	for {
		switch err := unix.Sendto(fd, payload, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, address); errno := err.(type) {
		case nil:
			return nil
		case unix.Errno:
			if errno == unix.EINTR {
				continue
			}
			return sendError(errno)
		default:
			return err
		}
	}
}
