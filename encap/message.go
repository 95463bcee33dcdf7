// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"errors"
	"net/netip"
)

// MaxBuffers is the largest number of buffers of one message (UIO_MAXIOV,
// linux/uio.h).
const MaxBuffers = 1024

// MaxSegments is the largest number of datagrams of one train
// (UDP_MAX_SEGMENTS, linux/udp.h). Linux takes 128 since 6.9. That would save
// 40 ns of the 110 that sending and receiving a small datagram costs in a train
// of 64. Its whole way takes microseconds, and every train would need twice the
// memory.
const MaxSegments = 64

// Message is one datagram, or a train of datagrams, on its way out or in. The
// caller owns its memory; Send and Receive use it only until they return.
type Message struct {
	// Addr is where the datagram goes (Send) or came from (Receive). IPv4.
	Addr netip.AddrPort

	// Buffers are the payload laid end to end (Send), or where to put it
	// (Receive). Many buffers make one datagram, for example a new header and a
	// payload that stays where it was read.
	Buffers [][]byte

	// SegmentSize is zero for a datagram. For a train it is the length of each
	// of its datagrams, in bytes; the last may be shorter. Their payloads lie
	// end to end in Buffers: MaxSegments and MaxPayload bytes at most.
	SegmentSize int

	// Source selects the Conn's source port (Send), modulo Conn.Sources.
	// Messages with the same source leave in their order; others may overtake
	// each other.
	Source int

	// Express makes the datagram leave from a source port that receivers with
	// an express lane recognize (Send). A Conn without such a port ignores it.
	Express bool

	// TOS is the type of service of the outer header, DSCP and ECN: of every
	// datagram of a train. The kernel forms no train of unequal ones.
	TOS byte

	// N is the number of bytes received into Buffers.
	N int

	// Truncated is set by Receive when the datagram was longer than Buffers,
	// which hold its beginning.
	Truncated bool

	// Err is set by Send for every message: nil when the kernel took it,
	// otherwise why this message was not sent. It is ErrTooLong, ErrBufferFull,
	// or an error number of the kernel. A train goes or fails as a whole,
	// except where the kernel takes no trains any more. Then Err is that of its
	// first unsent datagram, and Lost is the number of unsent ones.
	Err  error
	Lost int

	// Missing has the datagrams that Lost counts: bit j is set if datagram j,
	// from 0 to MaxSegments-1, was not sent. It has no meaning while Lost is
	// zero.
	Missing uint64
}

// Datagrams is how many datagrams a message of this many bytes has.
func (m *Message) Datagrams(bytes int) int {
	if m.SegmentSize == 0 || bytes <= m.SegmentSize {
		return 1
	}
	return (bytes + m.SegmentSize - 1) / m.SegmentSize
}

// NewMessages makes n messages to receive into, each with one buffer of size
// bytes. All buffers lie in one slab, and begin at different distances from a
// page. Equal distances would share few lines of the caches.
func NewMessages(n, size int) []Message {
	const line, stagger = 64, 25 * 64
	stride := (size+line-1)&^(line-1) + stagger
	slab := make([]byte, n*stride)
	buffers := make([][]byte, n)
	msgs := make([]Message, n)
	for i := range msgs {
		buffers[i] = slab[i*stride : i*stride+size : i*stride+size]
		msgs[i].Buffers = buffers[i : i+1 : i+1]
	}
	return msgs
}

// Errors of single messages. Both are sentinel values, compared with ==, so
// that a full batch of errors allocates nothing.
var (
	// ErrTooLong: the datagram is larger than the path to its destination
	// permits (EMSGSIZE). The kernel does not fragment it. PathMTU reports the
	// permitted size.
	ErrTooLong = errors.New("datagram larger than the path MTU")

	// ErrBufferFull: the socket's send buffer was full.
	ErrBufferFull = errors.New("send buffer full")
)

// ErrUnsupported is what Listen returns on other systems than Linux.
var ErrUnsupported = errors.New("UDP batches are supported on Linux only")
