// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"flanneld/internal/poll"
)

// Listen opens a socket for each of cfg.Lanes, and one for the express lane, on
// one local address and port. Datagrams leave with that address as their
// source; with 0.0.0.0 the kernel chooses one by route. Port 0 takes a free
// one, the same for all.
//
// A port that another program uses is always an error, even if that program
// would share it. On failure no socket stays open.
func Listen(addr netip.AddrPort, cfg Config) ([]*Conn, error) {
	cfg, err := cfg.checked(addr)
	if err != nil {
		return nil, err
	}
	conns, err := listenLanes(addr, cfg)
	if err == nil && cfg.Express {
		err = steer(conns[0].descriptor.FD(), cfg.Lanes)
	}
	if err != nil {
		for _, c := range conns {
			c.Close()
		}
		return nil, fmt.Errorf("encap: listen on UDP %s: %w", addr, explainBind(err))
	}
	return conns, nil
}

// listenLanes opens the sockets of all lanes in their order, by which the
// kernel numbers them. On failure it returns the open ones.
func listenLanes(addr netip.AddrPort, cfg Config) ([]*Conn, error) {
	conns := make([]*Conn, 0, cfg.AllLanes())
	for len(conns) < cap(conns) {
		c, err := listenLane(addr, cfg, len(conns) == 0)
		if err != nil {
			return conns, err
		}
		c.express = cfg.Express && len(conns) == cfg.Lanes // as steer numbers them
		conns = append(conns, c)
		addr = c.LocalAddr() // the first settles port 0
	}
	return conns, nil
}

// listenLane opens the sockets of one lane.
func listenLane(addr netip.AddrPort, cfg Config, first bool) (*Conn, error) {
	fd, local, err := openSocket(addr, cfg, first)
	if err != nil {
		return nil, err
	}
	c := newConn(local, cfg.Batch)
	c.trains.open(fd, cfg.Offloads)
	if err := c.probe.open(local.Addr()); err != nil {
		unix.Close(fd)
		return nil, err
	}
	c.descriptor, err = poll.NewDescriptor(fd)
	if err != nil {
		unix.Close(fd)
		c.probe.close()
		return nil, err
	}
	if err := c.openSources(cfg); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// openSocket opens a lane's socket and returns where it is bound.
func openSocket(addr netip.AddrPort, cfg Config, first bool) (_ int, local netip.AddrPort, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, local, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := setOptions(fd, cfg.BufferSize); err != nil {
		return -1, local, err
	}
	if err := bind(fd, addr, first, cfg.AllLanes() > 1); err != nil {
		return -1, local, err
	}
	local, err = localAddr(fd)
	return fd, local, err
}

// bind binds a lane's socket. The first one binds before it agrees to share the
// port, so that it fails if another program has the port already, sharing or
// not.
func bind(fd int, addr netip.AddrPort, first, shared bool) error {
	share := func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }
	if shared && !first {
		if err := share(); err != nil {
			return err
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return err
	}
	if shared && first {
		return share()
	}
	return nil
}

// setOptions does what setSendOptions does. It also asks for the type of
// service of incoming datagrams, and for room for them in the kernel.
func setOptions(fd, bufferSize int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTOS, 1); err != nil {
		return fmt.Errorf("ask for the type of service: %w", err)
	}
	if err := setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, bufferSize); err != nil {
		return fmt.Errorf("set the receive buffer: %w", err)
	}
	return setSendOptions(fd, bufferSize)
}

// setSendOptions forbids outer fragments, and asks for room in the kernel.
func setSendOptions(fd, bufferSize int) error {
	// DO: DF on every datagram, learn from ICMP, EMSGSIZE for what is too long.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO); err != nil {
		return fmt.Errorf("forbid fragmentation: %w", err)
	}
	if err := setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, bufferSize); err != nil {
		return fmt.Errorf("set the send buffer: %w", err)
	}
	return nil
}

// setBuffer tries the option that may exceed the system's limit, then the one
// that the limit silently cuts.
func setBuffer(fd, force, plain, size int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
}

// localAddr is the address a socket is bound to.
func localAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	sa4, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("local address is a %T", sa)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), uint16(sa4.Port)), nil
}

// explainBind adds advice to an error about an address.
func explainBind(err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: another flanneld, or flannel, uses the port: stop it or choose another port", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: a port below 1024 needs CAP_NET_BIND_SERVICE (CapabilityBoundingSet=CAP_NET_BIND_SERVICE in a drop-in of the unit): choose another port", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this host does not have the address", err)
	}
	return err
}
