package tun

import (
	"encoding/binary"
	"math/bits"
)

// A sum is a one's complement sum (RFC 1071) of 16-bit words, not yet folded,
// and of words in the byte order of their memory read as little endian: on the
// machines at hand that is a plain load, and the order of the bytes does not
// matter before the end (RFC 1071, section 2, B).
//
// Only even lengths may be followed by more: the odd last byte of a packet is
// padded with zero behind it.

// wideBlock is how many bytes sumWide takes at once.
const wideBlock = 32

// wideFrom is the length in bytes from which on sumWide is faster than a loop in
// Go: math.MaxInt on a machine that has no such thing.
var wideFrom = wideThreshold()

// sum adds b to s: 64 bytes a turn, 64 bits at a time. The carry out of 64 bits
// is as good as that out of 16.
func sum(b []byte, s uint64) uint64 {
	if len(b) >= wideFrom {
		n := len(b) &^ (wideBlock - 1)
		s = addSum(s, sumWide(b[:n]))
		b = b[n:]
	}
	var c uint64
	for len(b) >= 64 {
		w := b[:64:64]
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[0:8]), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[8:16]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[16:24]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[24:32]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[32:40]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[40:48]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[48:56]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[56:64]), c)
		s += c
		b = b[64:]
	}
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s += c
		b = b[8:]
	}
	if len(b) == 0 {
		return s
	}
	var rest uint64
	for i, v := range b {
		rest |= uint64(v) << (8 * i)
	}
	return addSum(s, rest)
}

// Checksum is the Internet checksum of b (RFC 1071), as a header carries it.
func Checksum(b []byte) uint16 { return ^fold(sum(b, 0)) }

// addSum adds two sums.
func addSum(s, t uint64) uint64 {
	s, c := bits.Add64(s, t, 0)
	return s + c
}

// add adds one 16-bit number, as it stands in a header.
func add(s uint64, v uint16) uint64 { return addSum(s, uint64(bits.ReverseBytes16(v))) }

// add32 adds a 32-bit number, as it stands in a header.
func add32(s uint64, v uint32) uint64 { return addSum(s, uint64(bits.ReverseBytes32(v))) }

// fold reduces a sum to the 16 bits that a header carries, not complemented.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return bits.ReverseBytes16(uint16(s>>16 + s&0xffff))
}

// pseudo is the sum of the pseudo-header (RFC 9293, section 3.1) of a TCP or UDP
// segment of length bytes, its header included. ip is a valid IPv4 header.
func pseudo(ip []byte, length int) uint64 {
	s := sum(ip[12:20], uint64(bits.ReverseBytes16(uint16(ip[9]))))
	return add(s, uint16(length))
}
