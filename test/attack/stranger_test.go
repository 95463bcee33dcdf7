// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"flanneld/test/lab"
)

// Where daemons gossip and take in data unless they are told otherwise.
const (
	gossipPort = 8286
	dataPort   = 8285
)

// dialTimeout bounds one dial, and one exchange after it.
const dialTimeout = 3 * time.Second

// Stranger is a program that knows the format and is no node. It is a host on
// the underlay, a container or a process that reaches the gossip port.
type Stranger struct {
	where *lab.Namespace
	addr  netip.Addr
	conn  *net.UDPConn
	Key   ed25519.PrivateKey
}

// NewStranger opens a stranger's socket in a namespace, at one of its
// addresses. It is closed when the test ends.
func NewStranger(t lab.TB, where *lab.Namespace, addr netip.Addr) *Stranger {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	s := &Stranger{where: where, addr: addr, Key: key, conn: where.ListenUDP(t, netip.AddrPortFrom(addr, gossipPort))}
	t.Cleanup(func() { _ = s.conn.Close() })
	return s
}

// Endpoint is where the stranger's gossip would be.
func (s *Stranger) Endpoint() netip.AddrPort { return netip.AddrPortFrom(s.addr, gossipPort) }

// Say sends one datagram to a host's gossip port.
func (s *Stranger) Say(to netip.Addr, msg []byte) error {
	_, err := s.conn.WriteToUDPAddrPort(datagram(msg), netip.AddrPortFrom(to, gossipPort))
	return err
}

// Dial opens a stream to a host's gossip port.
func (s *Stranger) Dial(to netip.Addr) (conn net.Conn, err error) {
	err = s.where.Do(func() error {
		d := net.Dialer{Timeout: dialTimeout, LocalAddr: &net.TCPAddr{IP: s.addr.AsSlice()}}
		conn, err = d.Dial("tcp4", netip.AddrPortFrom(to, gossipPort).String())
		return err
	})
	return conn, err
}

// Exchange runs a push/pull with a host and returns what the host says.
func (s *Stranger) Exchange(to netip.Addr, members []memberState, state []byte) (reply, error) {
	conn, err := s.Dial(to)
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	if _, err := conn.Write(frame(pushPull(true, members, state))); err != nil {
		return reply{}, err
	}
	b, err := io.ReadAll(io.LimitReader(conn, 64<<20))
	if err != nil && len(b) == 0 {
		return reply{}, err
	}
	if skip := len(frame(nil)); len(b) > skip {
		b = b[skip:]
	}
	r, err := parsePushPull(b)
	if err != nil {
		return reply{}, fmt.Errorf("push/pull with %v: %w", to, err)
	}
	return r, nil
}

// SayOnStream sends a user message to a host by a stream.
func (s *Stranger) SayOnStream(to netip.Addr, payload []byte) error {
	conn, err := s.Dial(to)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	msg := append(message(typeUser, userHeader{len(payload)}), payload...)
	if _, err := conn.Write(frame(msg)); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, conn) // until the node has read it and closes
	return nil
}
