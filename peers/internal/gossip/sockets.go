package gossip

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Sockets is what gossip asks of the operating system; the tests in virtual
// time have another one.
type Sockets interface {
	ListenTCP(at netip.AddrPort) (net.Listener, error)
	ListenUDP(at netip.AddrPort) (Datagrams, error)
	// dialTCP connects from an address of this host, or from any where that is
	// unspecified. The error is also ctx's end, or that the time is over.
	DialTCP(ctx context.Context, from netip.Addr, to string, timeout time.Duration) (net.Conn, error)
}

// Datagrams is a bound UDP socket. Close ends a read with net.ErrClosed.
type Datagrams interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	Close() error
}

// Kernel has the sockets of this host.
type Kernel struct{}

func (Kernel) ListenTCP(at netip.AddrPort) (net.Listener, error) {
	return net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
}

func (Kernel) ListenUDP(at netip.AddrPort) (Datagrams, error) {
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	_ = udp.SetReadBuffer(socketBuffer) // the kernel gives what it allows
	return udp, nil
}

func (Kernel) DialTCP(ctx context.Context, from netip.Addr, to string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	if !from.IsUnspecified() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return d.DialContext(ctx, "tcp4", to)
}
