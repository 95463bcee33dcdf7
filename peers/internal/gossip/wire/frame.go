// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"net/netip"

	"flanneld/peers/internal/record"
)

// What travels as a memberlist user message, big endian:
//
//	0   1  kind: broadcast or direct
//
// A broadcast is a message of the core's for all nodes. A direct frame goes
// from one node to another:
//
//	1   16 node ID of the sender
//	17  6  its gossip endpoint, IPv4 address and port
//	23  4  length of the message
//	27  n  the core's message
//	..  .. padding
//
// The sender's endpoint is there for newcomers. A newcomer may ask a node that
// gossip has not told about it yet, and that node has to answer all the same.
const (
	frameBroadcast = 0
	frameDirect    = 1

	directHeader = 1 + 16 + 6 + 4
)

// Frame is a user message taken apart.
type Frame struct {
	From     record.NodeID  // zero: a broadcast
	Endpoint netip.AddrPort // of the sender of a direct frame, as it says
	Message  []byte         // the core's; part of what was read
	Size     int            // of the whole, bytes
}

// EncodeBroadcast makes the frame of a broadcast.
func EncodeBroadcast(msg []byte) []byte { return append([]byte{frameBroadcast}, msg...) }

// EncodeDirect makes a frame from one node to another, padded to atLeast bytes.
// endpoint is the sender's own and must be IPv4.
func EncodeDirect(from record.NodeID, endpoint netip.AddrPort, msg []byte, atLeast int) []byte {
	b := make([]byte, 0, max(directHeader+len(msg), atLeast))
	b = append(b, frameDirect)
	b = append(b, from[:]...)
	addr := endpoint.Addr().As4()
	b = append(b, addr[:]...)
	b = binary.BigEndian.AppendUint16(b, endpoint.Port())
	b = binary.BigEndian.AppendUint32(b, uint32(len(msg)))
	b = append(b, msg...)
	return b[:cap(b)]
}

// ParseFrame takes a frame apart; the message is part of b. Its error is
// [ErrFrame].
func ParseFrame(b []byte) (Frame, error) {
	if len(b) > 0 && b[0] == frameBroadcast {
		return Frame{Message: b[1:], Size: len(b)}, nil
	}
	if len(b) < directHeader || b[0] != frameDirect {
		return Frame{}, ErrFrame
	}
	n := binary.BigEndian.Uint32(b[23:])
	if int64(n) > int64(len(b)-directHeader) {
		return Frame{}, ErrFrame
	}
	f := Frame{
		From:     record.NodeID(b[1:17]),
		Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[17:21])), binary.BigEndian.Uint16(b[21:])),
		Message:  b[directHeader : directHeader+n],
		Size:     len(b),
	}
	if f.From.IsZero() {
		return Frame{}, ErrFrame
	}
	return f, nil
}
