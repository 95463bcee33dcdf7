// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"flanneld/internal/poll"
)

// Conn is one lane's sockets: one to receive, and those to send. One goroutine
// at a time may Send, one at a time may Receive; the other methods may be
// called from anywhere at any time.
type Conn struct {
	descriptor *poll.Descriptor
	sources    []int // to send: spread, or descriptor's alone; then the express one, if any
	spread     int   // a power of two
	probe      probe
	local      netip.AddrPort
	express    bool // the kernel gives it the express datagrams
	trains     trains
	overflows  odometer

	out struct { // Send's
		vector
		which []int // of the messages each header is of
	}
	apart struct { // Send's, for a train that goes datagram by datagram
		vector
		one    [1]Message
		pieces [][]byte
	}
	in inbox // Receive's
}

// newConn makes a Conn without its sockets.
func newConn(local netip.AddrPort, batch int) *Conn {
	c := &Conn{local: local}
	c.out.vector = newVector(batch)
	c.out.which = make([]int, batch)
	c.apart.vector = newVector(1)
	c.in.vector = newVector(batch)
	return c
}

// LocalAddr is the address and port that all lanes of one Listen share.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Express reports whether this is the lane that receives express datagrams.
func (c *Conn) Express() bool { return c.express }

// Sources is how many source ports there are to choose from, the express one
// not among them.
func (c *Conn) Sources() int { return c.spread }

// sourceIndex is the source from which a message leaves.
func (c *Conn) sourceIndex(m *Message) int {
	if m.Express && len(c.sources) > c.spread {
		return c.spread
	}
	return m.Source & (c.spread - 1)
}

// Send sends msgs, each source's messages in order, and returns how many the
// kernel took. Each message's Err has its outcome. A failed message does not
// prevent the others from being sent. Send never waits: if the send buffer is
// full, a message is not sent, as in a router with a full queue.
//
// The error is net.ErrClosed once the Conn is closed; unsent messages then
// carry it too. Otherwise it is nil.
func (c *Conn) Send(msgs []Message) (sent int, err error) {
	if !c.descriptor.Acquire() {
		for i := range msgs {
			msgs[i].Err, msgs[i].Lost = net.ErrClosed, 0
		}
		return 0, net.ErrClosed
	}
	defer c.descriptor.Release()
	for len(msgs) > 0 {
		chunk := msgs[:min(len(msgs), len(c.out.headers))]
		msgs = msgs[len(chunk):]
		for i, fd := range c.sources {
			sent += c.sendFrom(fd, chunk, i)
		}
	}
	return sent, nil
}

// sendFrom sends the messages that are to leave from a source.
func (c *Conn) sendFrom(fd int, msgs []Message, source int) (sent int) {
	c.loadOut(msgs, source)
	for at := 0; at < c.out.n; {
		n, errno := c.out.send(fd, at, c.out.n)
		switch errno {
		case 0:
			c.setOutcome(msgs, at, at+n, nil)
			at += n
			sent += n
		case unix.EINTR:
		case unix.EAGAIN:
			c.setOutcome(msgs, at, c.out.n, ErrBufferFull)
			return sent
		default: // concerns only the first message
			sent += c.sendAnyway(&msgs[c.out.which[at]], errno)
			at++
		}
	}
	return sent
}

// loadOut describes the messages that are to leave from a source.
func (c *Conn) loadOut(msgs []Message, source int) {
	c.out.begin(msgs)
	for i := range msgs {
		m := &msgs[i]
		if c.sourceIndex(m) != source {
			continue
		}
		c.out.which[c.out.addOut(m)] = i
	}
}

// setOutcome sets the outcome of the described messages from from to to.
func (c *Conn) setOutcome(msgs []Message, from, to int, err error) {
	for _, i := range c.out.which[from:to] {
		msgs[i].Err, msgs[i].Lost = err, 0
	}
}

// sendError gives the error numbers of one message their meaning.
func sendError(errno unix.Errno) error {
	switch errno {
	case unix.EMSGSIZE:
		return ErrTooLong
	case unix.EAGAIN, unix.ENOBUFS:
		return ErrBufferFull
	}
	return errno
}

// Descriptor is the descriptor to wait on until there is something to Receive.
func (c *Conn) Descriptor() *poll.Descriptor { return c.descriptor }

// Receive takes the datagrams that are there, without waiting, up to len(msgs)
// and the configured batch. It returns how many messages it filled, zero when
// there is nothing. The error is net.ErrClosed after Close, and comes without
// messages.
//
// Messages that are given again must have the buffers that they had: only what
// the last call used is described to the kernel anew.
func (c *Conn) Receive(msgs []Message) (int, error) {
	if !c.descriptor.Acquire() {
		return 0, net.ErrClosed
	}
	defer c.descriptor.Release()
	room := min(len(msgs), len(c.in.headers))
	if room == 0 {
		return 0, fmt.Errorf("encap: receive: no room for a message")
	}
	c.in.prepare(msgs[:room])
	n, errno := c.in.take(c.descriptor.FD(), room)
	if errno != 0 {
		return 0, c.receiveError(errno)
	}
	c.in.store(msgs[:n])
	return n, nil
}

// receiveError is the meaning of an error number of recvmmsg.
func (c *Conn) receiveError(errno unix.Errno) error {
	switch errno {
	case unix.EAGAIN, unix.EINTR:
		return nil
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN, unix.EHOSTDOWN, unix.EPROTO, unix.ENOPROTOOPT, unix.EMSGSIZE:
		return nil // about something sent earlier; the next call is past it
	}
	return fmt.Errorf("encap: receive on %s: %w", c.local, errno)
}

// Close wakes blocked waiters, waits until no call uses the sockets any more,
// and closes them. Closing again returns net.ErrClosed.
func (c *Conn) Close() error {
	err := c.descriptor.Close()
	if err == fs.ErrClosed {
		return net.ErrClosed
	}
	c.closeSources() // no call uses them any more
	return errors.Join(err, c.probe.close())
}
