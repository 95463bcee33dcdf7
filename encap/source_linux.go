package encap

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// openSources opens what the lane sends through: n sockets on ports that the
// kernel chooses, or the lane's own for one, and the express one. What it has opened when it fails
// goes with the Conn.
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

// openAnySource opens one of them, on a port that the kernel chooses. Nobody
// answers to it: what comes there is dropped before it takes room.
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

// closeSources closes those that openSources opened.
func (c *Conn) closeSources() {
	for _, fd := range c.sources {
		if fd != c.descriptor.FD() {
			unix.Close(fd)
		}
	}
}
