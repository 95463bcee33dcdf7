// SPDX-License-Identifier: Apache-2.0

package gcm

import "encoding/binary"

// element is an element of the field of GHASH, as a number whose highest bit is
// the coefficient of x^0. A block is such a number in big-endian order.
type element struct{ low, high uint64 }

func newElement(block [blockSize]byte) element {
	return element{binary.BigEndian.Uint64(block[8:]), binary.BigEndian.Uint64(block[:])}
}

// remainder is x^128, modulo the polynomial of GHASH, divided by x.
const (
	remainderLow  = 1
	remainderHigh = 0xc2 << 56
)

// double returns an element with a factor that makes up for a bit: the product
// of two numbers of 128 bits has 255, not 256.
func (e element) double() element {
	carry := -(e.high >> 63) // all ones, or zero
	return element{e.low<<1 ^ carry&remainderLow, e.high<<1 ^ e.low>>63 ^ carry&remainderHigh}
}

// times multiplies by an element that was doubled, in constant time. The lower
// half of the product of 256 bits goes into the upper one, 64 bits at a time.
func (e element) times(doubled element) element {
	hi0, p0 := multiply(e.low, doubled.low)
	hi1, lo1 := multiply(e.low, doubled.high)
	hi2, lo2 := multiply(e.high, doubled.low)
	p3, lo3 := multiply(e.high, doubled.high)
	p1, p2 := hi0^lo1^lo2, lo3^hi1^hi2
	for range 2 {
		hi, lo := multiply(p0, remainderHigh)
		p0, p1 = p1^lo, p0^hi
	}
	return element{p0 ^ p2, p1 ^ p3}
}

// multiply returns the product of two polynomials over GF(2).
func multiply(a, b uint64) (hi, lo uint64) {
	for i := range 64 {
		bit := -(b >> i & 1)
		lo ^= a << i & bit
		hi ^= a >> 1 >> (63 - i) & bit
	}
	return hi, lo
}
