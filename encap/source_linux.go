// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// openSources opens the sockets that the lane sends through: n sockets on ports
// that the kernel chooses, or the lane's own for one, and the express one. If
// it fails, the Conn closes the open ones.
func (c *Conn) openSources(cfg Config) error {
	c.spread = cfg.Sources
	var parities []uint16 // of the ports to open
	if cfg.Sources == 1 {
		c.sources = []int{c.descriptor.FD()}
	} else {
		parities = slices.Repeat([]uint16{oddPort}, cfg.Sources)
	}
	if cfg.Express {
		parities = append(parities, evenPort)
	}
	for _, parity := range parities {
		fd, err := openSource(c.local.Addr(), cfg.BufferSize, parity)
		if err != nil {
			return fmt.Errorf("open a socket to send from: %w", err)
		}
		c.sources = append(c.sources, fd)
	}
	return nil
}

// openAnySource opens one such socket, on a port that the kernel chooses. No
// peer answers to this port: datagrams to it are dropped before they take
// memory.
func openAnySource(local netip.Addr, bufferSize int) (fd int, port uint16, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, 0, err
	}
	if err := prepareSource(fd, local, bufferSize); err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	at, err := localAddr(fd)
	if err != nil {
		unix.Close(fd)
		return -1, 0, err
	}
	return fd, at.Port(), nil
}

func prepareSource(fd int, local netip.Addr, bufferSize int) error {
	none := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K} // accept the first 0 bytes
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none}); err != nil {
		return fmt.Errorf("receive nothing: %w", err)
	}
	if err := setSendOptions(fd, bufferSize); err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()})
}

// closeSources closes the sockets that openSources opened.
func (c *Conn) closeSources() {
	for _, fd := range c.sources {
		if fd != c.descriptor.FD() {
			unix.Close(fd)
		}
	}
}
