// SPDX-License-Identifier: Apache-2.0

package gcm

import (
	"encoding/binary"
	"math/bits"
)

// expand returns the round keys of a key of KeySize bytes (FIPS 197, section
// 5.2).
func expand(key *[KeySize]byte) (rounds [15][blockSize]byte) {
	const words = KeySize / 4
	var w [4 * len(rounds)]uint32 // the low byte is the first
	for i := range words {
		w[i] = binary.LittleEndian.Uint32(key[4*i:])
	}
	constant := uint32(1)
	for i := words; i < len(w); i++ {
		next := w[i-1]
		switch i % words {
		case 0:
			next = bits.RotateLeft32(substitute(next), -8) ^ constant
			constant <<= 1
		case words / 2:
			next = substitute(next)
		}
		w[i] = w[i-words] ^ next
	}
	for i, word := range w {
		binary.LittleEndian.PutUint32(rounds[i/4][i%4*4:], word)
	}
	clear(w[:])
	return rounds
}
