package encap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// sendPatience is how long Send waits for a full send buffer to drain. It is
// long against the time a working link needs for 8 MB, and short against what a
// connection notices; a lane whose link stands still loses what comes next.
const sendPatience = 100 * time.Millisecond

// Conn is one lane's socket. One goroutine at a time may Send, one at a time may
// Receive; the other methods may be called from anywhere at any time.
type Conn struct {
	handle *handle
	probe  probe
	local  netip.AddrPort
	trains trains

	out struct { // Send's
		vector
		poll pollScratch
	}
	apart struct { // Send's, for a train that goes datagram by datagram
		vector
		one    [1]Message
		pieces [][]byte
	}
	in struct { // Receive's
		vector
		poll pollScratch
	}
}

// newConn makes a Conn without its sockets.
func newConn(local netip.AddrPort, batch int) *Conn {
	c := &Conn{local: local}
	c.out.vector = newVector(batch)
	c.apart.vector = newVector(1)
	c.in.vector = newVector(batch)
	return c
}

// LocalAddr is the address and port that all lanes of one Listen share.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Send sends msgs in order and returns how many the kernel took. Each message's
// Err says what became of it; a message that fails does not keep the others from
// being sent. While the send buffer is full Send waits, but not for ever.
//
// The error is net.ErrClosed once the Conn is closed, when the messages that
// were not sent carry it too, and nil otherwise.
func (c *Conn) Send(msgs []Message) (sent int, err error) {
	if !c.handle.acquire() {
		fail(msgs, net.ErrClosed)
		return 0, net.ErrClosed
	}
	defer c.handle.release()
	for len(msgs) > 0 {
		chunk := msgs[:c.loadOut(msgs)]
		msgs = msgs[len(chunk):]
		n, err := c.sendSome(chunk)
		sent += n
		if err != nil {
			fail(msgs, err)
			return sent, err
		}
	}
	return sent, nil
}

// loadOut describes the first of msgs for the kernel.
func (c *Conn) loadOut(msgs []Message) int {
	n := c.out.load(msgs)
	for i := range n {
		c.out.setName(i, msgs[i].Addr)
		if msgs[i].SegmentSize > 0 {
			c.out.setSegmentSize(i, msgs[i].SegmentSize)
		}
		if msgs[i].TOS != 0 {
			c.out.setTOS(i, msgs[i].TOS)
		}
	}
	return n
}

// sendSome sends the messages that loadOut described. It gives up only when the
// Conn is closed.
func (c *Conn) sendSome(msgs []Message) (sent int, err error) {
	for at := 0; at < len(msgs); {
		n, errno := c.out.send(c.handle.fd, at, len(msgs))
		switch errno {
		case 0:
			fail(msgs[at:at+n], nil)
			at += n
			sent += n
		case unix.EINTR:
		case unix.EAGAIN:
			if err := c.awaitRoom(); err != nil {
				fail(msgs[at:], err)
				return sent, closedOnly(err)
			}
		default: // concerns the first of them only
			n, err := c.sendAnyway(&msgs[at], errno)
			at++
			sent += n
			if err != nil {
				fail(msgs[at:], err)
				return sent, err
			}
		}
	}
	return sent, nil
}

// awaitRoom waits until the send buffer has room. The error is ErrBufferFull or
// net.ErrClosed.
func (c *Conn) awaitRoom() error {
	err := c.handle.wait(unix.POLLOUT, sendPatience, &c.out.poll)
	if err == nil || isClosed(err) {
		return err
	}
	return ErrBufferFull
}

// fail sets the outcome of all of msgs.
func fail(msgs []Message, err error) {
	for i := range msgs {
		msgs[i].Err, msgs[i].Lost = err, 0
	}
}

// closedOnly drops errors that concern single messages.
func closedOnly(err error) error {
	if isClosed(err) {
		return err
	}
	return nil
}

// sendError gives the error numbers of one message their meaning.
func sendError(errno unix.Errno) error {
	switch errno {
	case unix.EMSGSIZE:
		return ErrTooLong
	case unix.ENOBUFS:
		return ErrBufferFull
	}
	return errno
}

// Receive waits until there is a datagram, then takes what is there without
// waiting further, up to len(msgs) and the configured batch. It returns how many
// messages it filled, which is zero only with an error: net.ErrClosed after
// Close.
func (c *Conn) Receive(msgs []Message) (int, error) {
	if !c.handle.acquire() {
		return 0, net.ErrClosed
	}
	defer c.handle.release()
	room := c.loadIn(msgs)
	if room == 0 {
		return 0, fmt.Errorf("encap: receive: no room for a message")
	}
	for tries := 0; ; tries++ {
		n, errno := c.in.receive(c.handle.fd, room)
		if errno == 0 {
			c.store(msgs[:n])
			return n, nil
		}
		if errno == unix.EAGAIN && tries < yields {
			yield()
			continue
		}
		if err := c.awaitDatagram(errno); err != nil {
			return 0, err
		}
	}
}

// loadIn describes room for the first of msgs, also for what the kernel says
// about them: it shortens the control length to what it wrote, so that must be
// set anew every time.
func (c *Conn) loadIn(msgs []Message) int {
	n := c.in.load(msgs)
	for i := range n {
		c.in.expectControl(i)
	}
	return n
}

// awaitDatagram decides what to do about an error number of recvmmsg.
func (c *Conn) awaitDatagram(errno unix.Errno) error {
	switch errno {
	case unix.EAGAIN:
		return c.handle.wait(unix.POLLIN, -1, &c.in.poll)
	case unix.EINTR:
		return nil
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN, unix.EHOSTDOWN, unix.EPROTO, unix.ENOPROTOOPT, unix.EMSGSIZE:
		return nil // about something sent earlier; the next call is past it
	}
	return fmt.Errorf("encap: receive on %s: %w", c.local, errno)
}

// store gives the caller what the kernel wrote into the headers.
func (c *Conn) store(msgs []Message) {
	for i := range msgs {
		h := &c.in.headers[i]
		msgs[i].N = int(h.length)
		msgs[i].Truncated = h.header.Flags&unix.MSG_TRUNC != 0
		msgs[i].SegmentSize, msgs[i].TOS = c.in.said(i)
		msgs[i].Addr = c.in.name(i)
	}
}

// Close wakes a waiting Receive or Send, waits until no call uses the sockets any
// more, and closes them. Closing again returns net.ErrClosed.
func (c *Conn) Close() error {
	err := c.handle.close()
	if isClosed(err) {
		return err
	}
	return errors.Join(err, c.probe.close())
}
