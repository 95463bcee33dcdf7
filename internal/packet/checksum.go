// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"math/bits"
)

// Sum is a one's complement sum (RFC 1071) of 16-bit words, not yet folded. The
// words are in the byte order of their memory, read as little endian. On common
// machines that is a plain load, and the order of the bytes does not matter
// before the end (RFC 1071, section 2, B).
//
// Only even lengths may be followed by more: zero pads the odd last byte of a
// packet.
type Sum uint64

// wideBlock is how many bytes sumWide takes at once.
const wideBlock = 32

// wideFrom is the length in bytes from which sumWide is faster than a loop in
// Go: math.MaxInt on a machine that has no sumWide.
var wideFrom = wideThreshold()

// Bytes adds b: 64 bytes a turn, 64 bits at a time. The carry out of 64 bits is
// as good as that out of 16.
func (s Sum) Bytes(b []byte) Sum {
	t := uint64(s)
	if len(b) >= wideFrom {
		n := len(b) &^ (wideBlock - 1)
		t = uint64(Sum(t).Plus(Sum(sumWide(b[:n]))))
		b = b[n:]
	}
	var c uint64
	for len(b) >= 64 {
		w := b[:64:64]
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[0:8]), 0)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[8:16]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[16:24]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[24:32]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[32:40]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[40:48]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[48:56]), c)
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(w[56:64]), c)
		t += c
		b = b[64:]
	}
	for len(b) >= 8 {
		t, c = bits.Add64(t, binary.LittleEndian.Uint64(b), 0)
		t += c
		b = b[8:]
	}
	if len(b) == 0 {
		return Sum(t)
	}
	var rest uint64
	for i, v := range b {
		rest |= uint64(v) << (8 * i)
	}
	return Sum(t).Plus(Sum(rest))
}

// Plus adds two sums.
func (s Sum) Plus(t Sum) Sum {
	u, c := bits.Add64(uint64(s), uint64(t), 0)
	return Sum(u + c)
}

// Uint16 adds one 16-bit number, as it stands in a header.
func (s Sum) Uint16(v uint16) Sum { return s.Plus(Sum(bits.ReverseBytes16(v))) }

// Uint32 adds a 32-bit number, as it stands in a header.
func (s Sum) Uint32(v uint32) Sum { return s.Plus(Sum(bits.ReverseBytes32(v))) }

// Fold reduces a sum to the 16 bits that a header carries, not complemented.
func (s Sum) Fold() uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return bits.ReverseBytes16(uint16(s>>16 + s&0xffff))
}

// Checksum is the Internet checksum of b (RFC 1071), as a header carries it.
// Over bytes that contain their own correct checksum it is zero.
func Checksum(b []byte) uint16 { return ^Sum(0).Bytes(b).Fold() }

// updateChecksum is the checksum after one 16-bit word has changed from old to
// new: HC' = ~(~HC + ~m + m'), equation 3 of RFC 1624.
func updateChecksum(check, old, new uint16) uint16 {
	s := uint32(^check) + uint32(^old) + uint32(new)
	s = s>>16 + s&0xffff
	return ^uint16(s>>16 + s&0xffff)
}

// PseudoHeader is the sum of the pseudo-header (RFC 9293, section 3.1) of a TCP
// or UDP segment of length bytes, its header included. ip is a valid IP header.
func PseudoHeader(ip []byte, length int) Sum {
	return Sum(bits.ReverseBytes16(uint16(ip[9]))).Bytes(ip[12:20]).Uint16(uint16(length))
}
