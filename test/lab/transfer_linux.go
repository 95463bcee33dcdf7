// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Transfer is the result of a transfer.
type Transfer struct {
	Time   time.Duration
	Source netip.Addr // the sender's address, as the receiver saw it
}

// Listen opens a TCP listener inside the namespace.
func (ns *Namespace) Listen(t TB, at netip.AddrPort) net.Listener {
	t.Helper()
	var listener net.Listener
	err := ns.open(func() (err error) {
		listener, err = net.Listen("tcp4", at.String())
		return err
	})
	if err != nil {
		t.Fatalf("%s: listen at %v: %v", ns.Name, at, err)
	}
	return listener
}

// open opens a socket inside the namespace. A port that was closed a moment ago
// may still be held by a process that another test is just starting: every
// descriptor is in the child until it executes its program.
func (ns *Namespace) open(socket func() error) error {
	var err error
	Within(2*time.Second, func() error {
		err = ns.Do(socket)
		return Expect(!errors.Is(err, unix.EADDRINUSE), "taken")
	})
	return err
}

// Dial opens a TCP connection from inside the namespace.
func (ns *Namespace) Dial(to netip.AddrPort, limit time.Duration) (conn net.Conn, err error) {
	err = ns.Do(func() error {
		conn, err = net.DialTimeout("tcp4", to.String(), limit)
		return err
	})
	return conn, err
}

// ListenUDP opens a UDP socket inside the namespace.
func (ns *Namespace) ListenUDP(t TB, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	var conn net.PacketConn
	err := ns.open(func() (err error) {
		conn, err = new(net.ListenConfig).ListenPacket(context.Background(), "udp4", at.String())
		return err
	})
	if err != nil {
		t.Fatalf("%s: listen at %v: %v", ns.Name, at, err)
	}
	return conn.(*net.UDPConn)
}

// SendTCP sends size pseudo-random bytes over one connection and compares the
// hashes of what was sent and what came.
func SendTCP(t TB, from, to *Namespace, at netip.AddrPort, size int64) Transfer {
	t.Helper()
	return SendTCPVia(t, from, to, at, at, size)
}

// SendTCPVia is [SendTCP] where the sender dials another address than the
// receiver listens at: a published port.
func SendTCPVia(t TB, from, to *Namespace, dial, at netip.AddrPort, size int64) Transfer {
	t.Helper()
	listener := to.Listen(t, at)
	defer listener.Close()
	result := receive(listener)
	start := time.Now()
	sent, err := pour(from, dial, size)
	if err != nil {
		t.Fatalf("send %d bytes from %s to %v: %v", size, from.Name, dial, err)
	}
	got := <-result
	if got.err != nil {
		t.Fatalf("receive %d bytes from %s at %s: %v", size, from.Name, to.Name, got.err)
	}
	if got.sum != sent {
		t.Fatalf("%d bytes from %s to %s: hash %x sent, %x received", size, from.Name, to.Name, sent, got.sum)
	}
	return Transfer{time.Since(start), got.source}
}

// received is what came on one connection.
type received struct {
	sum    [32]byte
	size   int64
	source netip.Addr
	err    error
}

// receive takes one connection, and says when all its bytes have arrived.
func receive(listener net.Listener) <-chan received {
	result := make(chan received, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			result <- received{err: err}
			return
		}
		defer conn.Close()
		sum := sha256.New()
		n, err := io.Copy(sum, conn)
		conn.Write([]byte{1})
		result <- received{[32]byte(sum.Sum(nil)), n, conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(), err}
	}()
	return result
}

// pour sends the bytes, waits until the receiver has them and returns their
// hash. A connection that makes no progress for 20 s has failed.
func pour(from *Namespace, to netip.AddrPort, size int64) (sum [32]byte, err error) {
	conn, err := from.Dial(to, 10*time.Second*patience())
	if err != nil {
		return sum, err
	}
	defer conn.Close()
	digest := sha256.New()
	var seed [32]byte
	source := rand.NewChaCha8(seed)
	if err := copyWithProgress(conn, digest, source, size); err != nil {
		return sum, err
	}
	if err := finish(conn); err != nil {
		return sum, err
	}
	return [32]byte(digest.Sum(nil)), nil
}

// finish ends what is sent, and waits until the receiver has it.
func finish(conn net.Conn) error {
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second * patience()))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return fmt.Errorf("wait for the end: %w", err)
	}
	return nil
}

func copyWithProgress(conn net.Conn, digest hash.Hash, source io.Reader, size int64) error {
	buf := make([]byte, 64<<10)
	for size > 0 {
		chunk := buf[:min(size, int64(len(buf)))]
		io.ReadFull(source, chunk)
		digest.Write(chunk)
		conn.SetWriteDeadline(time.Now().Add(20 * time.Second * patience()))
		if _, err := conn.Write(chunk); err != nil {
			return err
		}
		size -= int64(len(chunk))
	}
	return nil
}

// SendUDP sends count datagrams of the size. The receiver echoes each, and
// every echo has to come back unchanged within a second. Source is the sender's
// address as the receiver saw it.
func SendUDP(t TB, from, to *Namespace, at netip.AddrPort, count, size int) Transfer {
	t.Helper()
	server := to.ListenUDP(t, at)
	defer server.Close()
	source := make(chan netip.Addr, 1)
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, peer, err := server.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			select {
			case source <- peer.Addr().Unmap():
			default:
			}
			server.WriteToUDPAddrPort(buf[:n], peer)
		}
	}()
	client := from.ListenUDP(t, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	defer client.Close()
	start := time.Now()
	sent, back := make([]byte, size), make([]byte, 1<<16)
	random := rand.NewChaCha8([32]byte{})
	for i := range count {
		random.Read(sent)
		if _, err := client.WriteToUDPAddrPort(sent, at); err != nil {
			t.Fatalf("datagram %d from %s to %v: %v", i, from.Name, at, err)
		}
		client.SetReadDeadline(time.Now().Add(time.Second * patience()))
		n, _, err := client.ReadFromUDPAddrPort(back)
		if err != nil {
			t.Fatalf("datagram %d of %d bytes from %s to %v: no echo: %v", i, size, from.Name, at, err)
		}
		if string(back[:n]) != string(sent) {
			t.Fatalf("datagram %d from %s to %v came back changed", i, from.Name, at)
		}
	}
	return Transfer{time.Since(start), <-source}
}

// Conversation is a TCP connection on which a counter is sent back and forth
// until it is stopped. It notices a missing byte or a broken connection.
type Conversation struct {
	listener, client io.Closer
	stop             chan struct{}
	result           chan error
	mu               sync.Mutex
	rounds           int
}

// Converse opens the connection and starts talking, one round every 10 ms.
func Converse(t TB, from, to *Namespace, at netip.AddrPort) *Conversation {
	t.Helper()
	listener := to.Listen(t, at)
	conn, err := from.Dial(at, 5*time.Second*patience())
	if err != nil {
		listener.Close()
		t.Fatalf("connect %s to %v: %v", from.Name, at, err)
	}
	c := &Conversation{listener: listener, client: conn, stop: make(chan struct{}), result: make(chan error, 1)}
	go echoOne(listener)
	go func() { c.result <- c.talk(conn) }()
	return c
}

func echoOne(listener net.Listener) {
	conn, err := listener.Accept()
	if err != nil {
		return
	}
	io.Copy(conn, conn)
	conn.Close()
}

func (c *Conversation) talk(conn net.Conn) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	back := make([]byte, 32)
	for round := 0; ; round++ {
		sent := fmt.Sprintf("%032d", round)
		conn.SetDeadline(time.Now().Add(30 * time.Second * patience()))
		if _, err := conn.Write([]byte(sent)); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if _, err := io.ReadFull(conn, back); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if string(back) != sent {
			return fmt.Errorf("round %d: sent %q, got back %q", round, sent, back)
		}
		c.mu.Lock()
		c.rounds = round + 1
		c.mu.Unlock()
		select {
		case <-c.stop:
			return nil
		case <-tick.C:
		}
	}
}

// Rounds is how many messages came back so far.
func (c *Conversation) Rounds() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rounds
}

// GoesOn fails the test unless more than n further messages come back within
// the limit.
func (c *Conversation) GoesOn(t TB, limit time.Duration, n int) {
	t.Helper()
	before := c.Rounds()
	Eventually(t, limit, "the conversation to go on", func() error {
		now := c.Rounds()
		return Expect(now > before+n, "%d rounds, %d before", now, before)
	})
}

// Stop ends the conversation after the round under way and returns what went
// wrong with it, if anything did.
func (c *Conversation) Stop() error {
	close(c.stop)
	err := <-c.result
	return errors.Join(err, c.client.Close(), c.listener.Close())
}
