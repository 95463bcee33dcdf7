// SPDX-License-Identifier: Apache-2.0

package encap

import "golang.org/x/sys/unix"

// sendAnyway handles a message that the kernel refused. A train that its route
// cannot take as one piece goes datagram by datagram. After EIO, which concerns
// the interface, this socket sends no more trains. It returns how many messages
// were sent, 0 or 1.
func (c *Conn) sendAnyway(m *Message, errno unix.Errno) (sent int) {
	switch {
	case m.SegmentSize == 0 || errno != unix.EIO && errno != unix.EINVAL:
		m.Err, m.Lost = sendError(errno), 0
		return 0
	case errno == unix.EIO:
		c.trains.endSending("an underlay interface cannot checksum: EIO")
	}
	if c.sendApart(m); m.Err != nil {
		return 0
	}
	return 1
}

// sendApart sends each datagram of a train by itself. The outcome is in m.
func (c *Conn) sendApart(m *Message) {
	m.Err, m.Lost, m.Missing = nil, 0, 0
	rest := m.Buffers
	at := 0 // in rest[0]
	for j := 0; ; j++ {
		var more bool
		rest, at, more = c.takeDatagram(m, rest, at)
		if !more {
			return
		}
		if err := c.sendOne(); err != nil {
			m.Lost++
			m.Missing |= 1 << j
			if m.Err == nil {
				m.Err = err
			}
		}
	}
}

// takeDatagram describes the datagram that begins at byte at of rest[0], and
// returns where the next one does. more is false if there is none.
func (c *Conn) takeDatagram(m *Message, rest [][]byte, at int) (_ [][]byte, _ int, more bool) {
	c.apart.pieces = c.apart.pieces[:0]
	for left := m.SegmentSize; left > 0 && len(rest) > 0; {
		piece := rest[0][at:]
		if len(piece) > left {
			piece = piece[:left]
			at += left
		} else {
			rest, at = rest[1:], 0
		}
		left -= len(piece)
		if len(piece) > 0 {
			c.apart.pieces = append(c.apart.pieces, piece)
		}
	}
	one := &c.apart.one[0]
	*one = *m
	one.Buffers, one.SegmentSize = c.apart.pieces, 0
	c.apart.begin(c.apart.one[:])
	c.apart.addOut(one)
	return rest, at, len(c.apart.pieces) > 0
}

// sendOne sends the datagram that takeDatagram described.
func (c *Conn) sendOne() error {
	fd := c.sources[c.sourceIndex(&c.apart.one[0])]
	for {
		switch _, errno := c.apart.send(fd, 0, 1); errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return sendError(errno)
		}
	}
}
