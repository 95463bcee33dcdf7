// SPDX-License-Identifier: Apache-2.0

// Package encaptest is an underlay without a kernel: what a test delivers to a
// Conn is received, what is sent through it is kept.
package encaptest

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"

	"flanneld/encap"
)

// Datagram is one payload with the address it came from or goes to.
type Datagram struct {
	Addr    netip.AddrPort
	Payload []byte

	// SegmentSize makes a train of a delivered datagram: that many bytes each.
	// Sent datagrams are always single.
	SegmentSize int

	TOS byte // of the outer header

	Source  int  // which of the sender's ports it left from
	Express bool // whether it was the express one
}

// Conn behaves like an *encap.Conn. The zero value is not usable; see NewConn.
// All methods may be called from any goroutine.
type Conn struct {
	sink func(m *encap.Message) error

	mu        sync.Mutex
	changed   sync.Cond // of everything below
	notify    func()
	delivered []Datagram
	sent      []Datagram
	messages  int                // that sent came in
	mtus      map[netip.Addr]int // path MTU by destination, outer headers included
	overflows uint64

	maxSegments int
	sources     int
	err         error // what Receive returns once nothing is delivered any more
}

// NewConn makes a connection that keeps what is sent through it.
func NewConn() *Conn { return NewConnFunc(nil) }

// NewConnFunc makes a connection that hands every message to sink, which must
// not keep it. The error of sink becomes the message's. It allocates nothing.
func NewConnFunc(sink func(m *encap.Message) error) *Conn {
	c := &Conn{sink: sink, mtus: make(map[netip.Addr]int), maxSegments: 1, sources: 1}
	c.changed.L = &c.mu
	return c
}

// Notify makes the connection call f when there may be something to Receive. f
// must not call back. It replaces the wait for a descriptor.
func (c *Conn) Notify(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notify = f
}

// wake wakes waiters for sent messages, and receivers.
func (c *Conn) wake() {
	c.changed.Broadcast()
	if c.notify != nil {
		c.notify()
	}
}

// Deliver appends datagrams for Receive to return. Payloads are not copied, and
// Receive does not change them.
func (c *Conn) Deliver(datagrams ...Datagram) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.delivered = append(c.delivered, datagrams...)
	c.wake()
}

// Fail makes Receive return err once everything delivered has been received.
func (c *Conn) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	c.wake()
}

// SetPathMTU makes longer datagrams to addr fail from now on, as a kernel does
// that learned of a narrow path. The MTU counts the outer headers.
func (c *Conn) SetPathMTU(addr netip.Addr, mtu int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mtus[addr] = mtu
}

// PathMTU returns what SetPathMTU set, or 65535.
func (c *Conn) PathMTU(addr netip.Addr) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pathMTU(addr), nil
}

func (c *Conn) pathMTU(addr netip.Addr) int {
	if mtu, ok := c.mtus[addr]; ok {
		return mtu
	}
	return 65535
}

// Send keeps a copy of every message, or gives it to the sink.
func (c *Conn) Send(msgs []encap.Message) (sent int, err error) {
	for i := range msgs {
		m := &msgs[i]
		if c.sink != nil {
			m.Err = c.sink(m)
		} else {
			m.Err = c.keep(m)
		}
		if m.Err == net.ErrClosed {
			err = net.ErrClosed
		}
		if m.Err == nil {
			sent++
		}
	}
	return sent, err
}

// keep is the sink of NewConn. It cuts trains, as the kernel does.
func (c *Conn) keep(m *encap.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	payload := slices.Concat(m.Buffers...)
	size := len(payload)
	if m.SegmentSize > 0 {
		size = min(size, m.SegmentSize)
	}
	switch {
	case c.err == net.ErrClosed:
		return c.err
	case size+encap.Overhead(m.Addr.Addr()) > c.pathMTU(m.Addr.Addr()):
		return encap.ErrTooLong
	case m.Datagrams(len(payload)) > c.maxSegments, len(payload) > encap.MaxPayload:
		return errNoTrain
	}
	for {
		n := min(size, len(payload))
		c.sent = append(c.sent, Datagram{Addr: m.Addr, Payload: payload[:n:n], TOS: m.TOS, Source: m.Source, Express: m.Express})
		if payload = payload[n:]; len(payload) == 0 {
			break
		}
	}
	c.messages++
	c.changed.Broadcast()
	return nil
}

var errNoTrain = errors.New("more datagrams or bytes than a train may have")

// SetMaxSegments sets how many datagrams a train may have; 1 is the number at
// first: no trains.
func (c *Conn) SetMaxSegments(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.maxSegments = n
}

// MaxSegments returns what SetMaxSegments set.
func (c *Conn) MaxSegments() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.maxSegments
}

// SetSources sets how many source ports there are, a power of two; 1 at first.
func (c *Conn) SetSources(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sources = n
}

// Sources returns what SetSources set.
func (c *Conn) Sources() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sources
}

// Messages is how many messages, datagrams or trains, were kept so far.
func (c *Conn) Messages() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.messages
}

// Sent waits until n datagrams were sent and not yet taken, and takes them. It
// returns what there is when the connection is closed before.
func (c *Conn) Sent(n int) []Datagram {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.sent) < n && c.err == nil {
		c.changed.Wait()
	}
	n = min(n, len(c.sent))
	taken := slices.Clone(c.sent[:n])
	c.sent = c.sent[n:]
	return taken
}

// Receive behaves as encap.Conn.Receive: it takes what is there, and cuts what
// does not fit its buffers.
func (c *Conn) Receive(msgs []encap.Message) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.delivered) == 0 {
		return 0, c.err
	}
	n := min(len(c.delivered), len(msgs))
	for i := range n {
		fill(&msgs[i], c.delivered[i])
	}
	c.delivered = c.delivered[:copy(c.delivered, c.delivered[n:])]
	return n, nil
}

// fill scatters a datagram over the buffers of a message.
func fill(m *encap.Message, d Datagram) {
	rest := d.Payload
	for _, b := range m.Buffers {
		rest = rest[copy(b, rest):]
	}
	m.Addr = d.Addr
	m.SegmentSize = d.SegmentSize
	m.TOS = d.TOS
	m.N = len(d.Payload) - len(rest)
	m.Truncated = len(rest) > 0
}

// SetOverflows sets what Overflows returns until Close.
func (c *Conn) SetOverflows(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overflows = n
}

// Overflows returns what SetOverflows set, and 0 once the connection is closed,
// as a closed socket has no counter.
func (c *Conn) Overflows() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == net.ErrClosed {
		return 0
	}
	return c.overflows
}

// Close makes waiting calls return; a second call returns net.ErrClosed.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == net.ErrClosed {
		return net.ErrClosed
	}
	c.err = net.ErrClosed
	c.delivered = nil
	c.wake()
	return nil
}
