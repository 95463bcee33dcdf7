// SPDX-License-Identifier: Apache-2.0

package gcm

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"sync"

	"golang.org/x/sys/cpu"
)

// Wide reports whether New uses wide instructions: whether the processor and
// the operating system have them, and they agree with the standard library.
// GODEBUG=cpu.avx512vaes=off in the environment hides them.
var Wide = sync.OnceValue(func() bool { return present() && newWide([KeySize]byte{1, 2, 3}).agrees() })

// present reports whether the processor and the operating system have what
// wide_amd64.s uses.
func present() bool {
	x := &cpu.X86
	return x.HasAES && x.HasAVX2 && x.HasBMI2 && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VL &&
		x.HasAVX512VAES && x.HasAVX512VPCLMULQDQ
}

// wide is AES-256-GCM in wide instructions. It leaves to the standard library
// what is not in place.
type wide struct{ key *schedule }

// schedule is what a key becomes. wide_amd64.s knows where things are in it.
type schedule struct {
	_ [48]byte // so that the 16th power begins a line of the cache

	// powers are those of the hash key, from the 17th down to the first: the
	// first of 16 blocks in front of the block of lengths takes the 17th. Four
	// are loaded at once, and behind the first one these are round keys. They
	// meet zeros.
	powers [17]element
	rounds [15][blockSize]byte
}

func newWide(key [KeySize]byte) *wide {
	s := &schedule{rounds: expand(&key)}
	var h [blockSize]byte
	cipherBlock(s, &h)
	first := newElement(h).double()
	power := first
	for i := len(s.powers) - 1; i >= 0; i-- {
		s.powers[i] = power
		power = power.times(first)
	}
	return &wide{s}
}

// standard is the standard library's cipher with the same key.
func (w *wide) standard() cipher.AEAD {
	return standard(append(w.key.rounds[0][:], w.key.rounds[1][:]...))
}

// NonceSize implements [cipher.AEAD].
func (*wide) NonceSize() int { return NonceSize }

// Overhead implements [cipher.AEAD].
func (*wide) Overhead() int { return TagSize }

// fits reports whether a call is one for wide instructions: what it makes takes
// the place of what it is given.
func fits(dst, nonce, given, data []byte) bool {
	return len(dst) == 0 && cap(dst) > 0 && cap(given) > 0 && &dst[:1][0] == &given[:1][0] &&
		len(nonce) == NonceSize && len(data) == DataSize && len(given) <= maxText
}

// maxText is the longest text, in bytes. The counter of its blocks has 32 bits.
const maxText = 1 << 30

// Seal implements [cipher.AEAD].
func (w *wide) Seal(dst, nonce, text, data []byte) []byte {
	n := len(text)
	if !fits(dst, nonce, text, data) || cap(dst) < n+TagSize {
		return w.standard().Seal(dst, nonce, text, data)
	}
	out := dst[:n+TagSize]
	sealWide(w.key, &out[0], n, (*[NonceSize]byte)(nonce), (*[blockSize]byte)(data), (*[blockSize]byte)(out[n:]))
	return out
}

var errForged = errors.New("gcm: message authentication failed")

// Open implements [cipher.AEAD]. If what is sealed is not authentic, zeros take
// its place.
func (w *wide) Open(dst, nonce, sealed, data []byte) ([]byte, error) {
	n := len(sealed) - TagSize
	if n < 0 || !fits(dst, nonce, sealed, data) {
		return w.standard().Open(dst, nonce, sealed, data)
	}
	out := sealed[:n]
	var tag [TagSize]byte
	openWide(w.key, &sealed[0], n, (*[NonceSize]byte)(nonce), (*[blockSize]byte)(data), &tag)
	if subtle.ConstantTimeCompare(tag[:], sealed[n:]) != 1 {
		clear(out)
		return nil, errForged
	}
	return out, nil
}

// agrees reports whether packets of some lengths are the same as those of the
// standard library, and open. The lengths are: nothing, parts of a block, all
// but a byte of 16 blocks, 16 blocks, and an ordinary packet.
func (w *wide) agrees() bool {
	var data [DataSize]byte
	var nonce [NonceSize]byte
	for _, n := range []int{0, 1, 33, 255, 256, 1440} {
		nonce[0], data[0] = byte(n), byte(n+1)
		text := bytes.Repeat([]byte{byte(n + 2)}, n+TagSize)[:n]
		want := w.standard().Seal(nil, nonce[:], text, data[:])
		got := w.Seal(text[:0], nonce[:], text, data[:])
		if !bytes.Equal(got, want) {
			return false
		}
		if _, err := w.Open(got[:0], nonce[:], got, data[:]); err != nil {
			return false
		}
	}
	return true
}

// sealWide encrypts n bytes in place, and writes their tag. data is the
// additional data.
//
//go:noescape
func sealWide(key *schedule, text *byte, n int, nonce *[NonceSize]byte, data, tag *[blockSize]byte)

// openWide decrypts n bytes in place, and writes the tag that belongs to them.
//
//go:noescape
func openWide(key *schedule, text *byte, n int, nonce *[NonceSize]byte, data, tag *[blockSize]byte)

// cipherBlock encrypts one block in place.
//
//go:noescape
func cipherBlock(key *schedule, block *[blockSize]byte)

// substitute applies the S-box to each byte of a word, in constant time.
func substitute(word uint32) uint32
