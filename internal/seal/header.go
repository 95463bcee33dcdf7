// SPDX-License-Identifier: Apache-2.0

package seal

import "encoding/binary"

const (
	// HeaderLen is what stands in front of a sealed packet, in bytes.
	HeaderLen = 16
	// TagLen is what stands behind it.
	TagLen = 16
	// Overhead is both.
	Overhead = HeaderLen + TagLen
)

// The types of datagrams, their first byte. Its upper half is neither 4 nor 6,
// so no datagram can be mistaken for an IP packet of an unsealed network.
const (
	typeInitiation = 0x81
	typeResponse   = 0x82
	typeCookie     = 0x83
	typeData       = 0x84
)

// A data datagram begins with its header, which is authenticated:
//
//	0      type
//	1      stream
//	2-3    zero
//	4-7    index of the receiver's session
//	8-15   counter of the stream
//
// All numbers are big-endian. The nonce is four zero bytes and the counter.
type header struct {
	stream  uint8
	index   uint32
	counter uint64
}

// put writes the header to the first HeaderLen bytes.
func (h *header) put(b []byte) {
	_ = b[HeaderLen-1]
	b[0], b[1], b[2], b[3] = typeData, h.stream, 0, 0
	binary.BigEndian.PutUint32(b[4:], h.index)
	binary.BigEndian.PutUint64(b[8:], h.counter)
}

// parseHeader reads the header of a datagram. It reports false if the datagram
// cannot be a data datagram.
func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < Overhead || b[0] != typeData || b[2] != 0 || b[3] != 0 {
		return h, false
	}
	h.stream = b[1]
	h.index = binary.BigEndian.Uint32(b[4:])
	h.counter = binary.BigEndian.Uint64(b[8:])
	return h, true
}

// IsData reports whether a datagram is for [Node.Open]. Others are for
// [Node.Handle].
func IsData(datagram []byte) bool { return len(datagram) > 0 && datagram[0] == typeData }

func isHandshake(datagram []byte) bool {
	if len(datagram) == 0 {
		return false
	}
	switch datagram[0] {
	case typeInitiation, typeResponse, typeCookie:
		return true
	}
	return false
}

const nonceSize = 12 // bytes, of both ciphers

func putNonce(nonce *[nonceSize]byte, counter uint64) {
	binary.BigEndian.PutUint64(nonce[nonceSize-8:], counter)
}
