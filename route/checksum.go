package route

import (
	"encoding/binary"
	"math/bits"
)

// checksum is the Internet checksum of b (RFC 1071). Over a header that contains
// its own correct checksum it is zero.
func checksum(b []byte) uint16 { return ^fold(sum(b)) }

// sum adds b as 16-bit words in one's complement, eight bytes at a time: the
// carry out of 64 bits is as good as that out of 16. An odd last byte counts as
// the upper half of a word.
func sum(b []byte) uint64 {
	var total, carry uint64
	for len(b) >= 8 {
		total, carry = bits.Add64(total, binary.BigEndian.Uint64(b), carry)
		b = b[8:]
	}
	var rest uint64
	for i, c := range b {
		rest |= uint64(c) << (56 - 8*i)
	}
	total, carry = bits.Add64(total, rest, carry)
	return addCarry(total, carry)
}

// addCarry adds the carry back in at the low end.
func addCarry(total, carry uint64) uint64 {
	total, carry = bits.Add64(total, carry, 0)
	return total + carry
}

// fold reduces a sum to 16 bits.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s&0xffff)
}

// updateChecksum is the checksum after one 16-bit word has changed from old to
// new: HC' = ~(~HC + ~m + m'), equation 3 of RFC 1624.
func updateChecksum(check, old, new uint16) uint16 {
	s := uint32(^check) + uint32(^old) + uint32(new)
	s = s>>16 + s&0xffff
	return ^uint16(s>>16 + s&0xffff)
}
