package peers

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// sockets is what gossip asks of the operating system; the tests in virtual time have another one.
type sockets interface {
	listenTCP(at netip.AddrPort) (net.Listener, error)
	listenUDP(at netip.AddrPort) (datagrams, error)
	// dialTCP connects from an address of this host, or from any where that is unspecified. The error is also ctx's end, or that the time is over.
	dialTCP(ctx context.Context, from netip.Addr, to string, timeout time.Duration) (net.Conn, error)
}

// datagrams is a bound UDP socket. Close ends a read with net.ErrClosed.
type datagrams interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	Close() error
}

// kernel has the sockets of this host.
type kernel struct{}

func (kernel) listenTCP(at netip.AddrPort) (net.Listener, error) {
	return net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
}

func (kernel) listenUDP(at netip.AddrPort) (datagrams, error) {
	udp, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	_ = udp.SetReadBuffer(socketBuffer) // the kernel gives what it allows
	return udp, nil
}

func (kernel) dialTCP(ctx context.Context, from netip.Addr, to string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	if !from.IsUnspecified() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return d.DialContext(ctx, "tcp4", to)
}
