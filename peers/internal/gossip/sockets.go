// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Sockets is what gossip needs from the operating system. Tests in virtual time
// have their own.
type Sockets interface {
	// ListenTCP listens on one port. The error is syscall.EADDRINUSE or
	// EADDRNOTAVAIL where that is the reason.
	ListenTCP(at netip.AddrPort) (net.Listener, error)
	// ListenUDP binds a UDP socket, with errors as ListenTCP.
	ListenUDP(at netip.AddrPort) (Datagrams, error)
	// DialTCP connects from an address of this host, or from any if from is
	// unspecified. It fails when ctx ends or the time is over.
	DialTCP(ctx context.Context, from netip.Addr, to string, timeout time.Duration) (net.Conn, error)
}

// Datagrams is a bound UDP socket. Close ends a read with net.ErrClosed.
type Datagrams interface {
	// Read reads one datagram, for one caller at a time. waited is how long it
	// has been on this host, zero where the system does not say.
	Read(b []byte) (n int, from netip.AddrPort, waited time.Duration, err error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	Close() error
}

// Kernel is the [Sockets] of this host.
type Kernel struct{}

// ListenTCP implements [Sockets].
func (Kernel) ListenTCP(at netip.AddrPort) (net.Listener, error) {
	return net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
}

// ListenUDP implements [Sockets].
func (Kernel) ListenUDP(at netip.AddrPort) (Datagrams, error) {
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	_ = udp.SetReadBuffer(socketBuffer) // the kernel gives what it allows
	return stamped(udp), nil
}

// DialTCP implements [Sockets].
func (Kernel) DialTCP(ctx context.Context, from netip.Addr, to string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	if !from.IsUnspecified() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return d.DialContext(ctx, "tcp4", to)
}
