// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Traffic counts the bytes of gossip, without the headers of UDP, TCP and IP.
// The zero value has counted nothing. The numbers only grow.
type Traffic struct {
	DatagramsSent, DatagramsReceived         atomic.Uint64
	DatagramBytesSent, DatagramBytesReceived atomic.Uint64
	StreamBytesSent, StreamBytesReceived     atomic.Uint64
}

// Counted returns sockets that count in t what goes through them.
func Counted(s Sockets, t *Traffic) Sockets { return countedSockets{s, t} }

type countedSockets struct {
	Sockets
	t *Traffic
}

func (c countedSockets) ListenTCP(at netip.AddrPort) (net.Listener, error) {
	l, err := c.Sockets.ListenTCP(at)
	if err != nil {
		return nil, err
	}
	return countedListener{l, c.t}, nil
}

func (c countedSockets) ListenUDP(at netip.AddrPort) (Datagrams, error) {
	d, err := c.Sockets.ListenUDP(at)
	if err != nil {
		return nil, err
	}
	return countedDatagrams{d, c.t}, nil
}

func (c countedSockets) DialTCP(ctx context.Context, from netip.Addr, to string, timeout time.Duration) (net.Conn, error) {
	conn, err := c.Sockets.DialTCP(ctx, from, to, timeout)
	if err != nil {
		return nil, err
	}
	return countedConn{conn, c.t}, nil
}

type countedListener struct {
	net.Listener
	t *Traffic
}

func (c countedListener) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{conn, c.t}, nil
}

type countedDatagrams struct {
	Datagrams
	t *Traffic
}

func (c countedDatagrams) Read(b []byte) (int, netip.AddrPort, time.Duration, error) {
	n, from, waited, err := c.Datagrams.Read(b)
	if err == nil {
		c.t.DatagramsReceived.Add(1)
		c.t.DatagramBytesReceived.Add(uint64(n))
	}
	return n, from, waited, err
}

func (c countedDatagrams) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	n, err := c.Datagrams.WriteToUDPAddrPort(b, to)
	if err == nil {
		c.t.DatagramsSent.Add(1)
		c.t.DatagramBytesSent.Add(uint64(n))
	}
	return n, err
}

type countedConn struct {
	net.Conn
	t *Traffic
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.t.StreamBytesReceived.Add(uint64(n))
	return n, err
}

func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.t.StreamBytesSent.Add(uint64(n))
	return n, err
}
