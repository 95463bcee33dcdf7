// SPDX-License-Identifier: Apache-2.0

package gcm

import (
	"bytes"
	"crypto/cipher"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// fast returns the cipher under test.
func fast(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	aead, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	return aead
}

// call is what a packet is sealed with.
type call struct{ key, nonce, data, text []byte }

// random returns a call with a text of n bytes.
func random(from *rand.ChaCha8, n int) call {
	c := call{make([]byte, KeySize), make([]byte, NonceSize), make([]byte, DataSize), make([]byte, n)}
	for _, b := range [][]byte{c.key, c.nonce, c.data, c.text} {
		from.Read(b)
	}
	return c
}

// agree seals and opens in memory that has at bytes in front, and checks that
// the standard library does the same, and that nothing around it changes.
func (c call) agree(t *testing.T, at int) {
	t.Helper()
	const around = 0x5c
	n := len(c.text)
	want := standard(c.key).Seal(nil, c.nonce, c.text, c.data)
	memory := bytes.Repeat([]byte{around}, at+n+TagSize+at)
	packet := memory[at : at+n : at+n+TagSize]
	copy(packet, c.text)
	aead := fast(t, c.key)
	got := aead.Seal(packet[:0], c.nonce, packet, c.data)
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes at %d are sealed as %x, want %x", n, at, got, want)
	}
	if &got[0] != &memory[at:][:1][0] {
		t.Fatalf("%d bytes are not sealed in place", n)
	}
	opened, err := aead.Open(got[:0], c.nonce, got, c.data)
	if err != nil || !bytes.Equal(opened, c.text) {
		t.Fatalf("%d bytes at %d are opened as %x, want %x: %v", n, at, opened, c.text, err)
	}
	if outside := slices.Concat(memory[:at], memory[at+n+TagSize:]); bytes.Count(outside, []byte{around}) != len(outside) {
		t.Fatalf("%d bytes at %d: memory around them has changed: %x", n, at, outside)
	}
}

func TestPacketsOfEveryLengthAreThoseOfTheStandardLibrary(t *testing.T) {
	from := rand.NewChaCha8([32]byte{1})
	for n := range 1700 {
		random(from, n).agree(t, n%67)
	}
	const carry = 1<<20 + 5 // 2^16 blocks: the counter carries into its third byte
	for _, n := range []int{4095, 4096, 8999, 65507, carry} {
		random(from, n).agree(t, 3)
	}
}

func TestExtremeKeysAndBlocks(t *testing.T) {
	for _, key := range []byte{0, 0xff, 0x80, 1} {
		for _, rest := range []byte{0, 0xff} {
			for _, n := range []int{0, 16, 64, 240, 256, 1440} {
				call{
					bytes.Repeat([]byte{key}, KeySize), bytes.Repeat([]byte{rest}, NonceSize),
					bytes.Repeat([]byte{rest}, DataSize), bytes.Repeat([]byte{rest}, n),
				}.agree(t, 1)
			}
		}
	}
}

// TestWhatIsNotAuthenticIsRefused, whichever bit of a packet is wrong, and
// becomes zeros.
func TestWhatIsNotAuthenticIsRefused(t *testing.T) {
	from := rand.NewChaCha8([32]byte{3})
	for _, n := range []int{0, 5, 64, 300} {
		c := random(from, n)
		aead := fast(t, c.key)
		sealed := aead.Seal(nil, c.nonce, c.text, c.data)
		for _, part := range [][]byte{sealed, c.nonce, c.data} {
			for bit := range 8 * len(part) {
				part[bit/8] ^= 1 << (bit % 8)
				packet := bytes.Clone(sealed)
				opened, err := aead.Open(packet[:0], c.nonce, packet, c.data)
				if err == nil || opened != nil {
					t.Fatalf("%d bytes: bit %d of %x is wrong, and the packet opens", n, bit, part)
				}
				if left := packet[:n]; bytes.Count(left, []byte{0}) != n {
					t.Fatalf("%d bytes: %x is left of a forged packet", n, left)
				}
				part[bit/8] ^= 1 << (bit % 8)
			}
		}
		for length := range len(sealed) {
			if _, err := aead.Open(sealed[:0:0], c.nonce, sealed[:length], c.data); err == nil {
				t.Errorf("the first %d bytes of %d open", length, len(sealed))
			}
		}
	}
}

// TestOtherCallsAreThoseOfTheStandardLibrary: what is not in place, without
// room for the tag, or with data of another length.
func TestOtherCallsAreThoseOfTheStandardLibrary(t *testing.T) {
	c := random(rand.NewChaCha8([32]byte{4}), 100)
	aead := fast(t, c.key)
	for length := range 2 * DataSize {
		data := bytes.Repeat([]byte{7}, length)
		want := standard(c.key).Seal(nil, c.nonce, c.text, data)
		packet := slices.Grow(bytes.Clone(c.text), TagSize)
		if got := aead.Seal(packet[:0], c.nonce, packet, data); !bytes.Equal(got, want) {
			t.Errorf("data of %d bytes: sealed as %x, want %x", length, got, want)
		}
		if got, err := aead.Open(want[:0], c.nonce, want, data); err != nil || !bytes.Equal(got, c.text) {
			t.Errorf("data of %d bytes: opened as %x, want %x: %v", length, got, c.text, err)
		}
	}
	want := standard(c.key).Seal(nil, c.nonce, c.text, c.data)
	for name, dst := range map[string][]byte{"nil": nil, "elsewhere": make([]byte, 0, 200), "behind": []byte("front"), "no room": c.text[:0:100]} {
		front := bytes.Clone(dst)
		got := aead.Seal(dst, c.nonce, bytes.Clone(c.text), c.data)
		if !bytes.Equal(got, append(front, want...)) {
			t.Errorf("%s: sealed as %x, want %x", name, got, want)
		}
		sealed := bytes.Clone(want)
		if got, err := aead.Open(dst, c.nonce, sealed, c.data); err != nil || !bytes.Equal(got[len(dst):], c.text) {
			t.Errorf("%s: opened as %x, want %x: %v", name, got, c.text, err)
		}
	}
	if aead.NonceSize() != NonceSize || aead.Overhead() != TagSize {
		t.Errorf("nonces of %d bytes, tags of %d", aead.NonceSize(), aead.Overhead())
	}
}

func TestKeysOfOtherLengthsAreRefused(t *testing.T) {
	for _, n := range []int{0, 16, 24, 31, 33, 64} {
		if _, err := New(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes", n)
		}
	}
}

func TestManyGoroutinesShareAKey(t *testing.T) {
	aead := fast(t, make([]byte, KeySize))
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			from := rand.NewChaCha8([32]byte{byte(i)})
			for n := range 500 {
				c := random(from, n)
				packet := slices.Grow(bytes.Clone(c.text), TagSize)
				sealed := aead.Seal(packet[:0], c.nonce, packet, c.data)
				if opened, err := aead.Open(sealed[:0], c.nonce, sealed, c.data); err != nil || !bytes.Equal(opened, c.text) {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
	all.Wait()
}

func TestNothingIsAllocated(t *testing.T) {
	c := random(rand.NewChaCha8([32]byte{5}), 1440)
	aead := fast(t, c.key)
	packet := slices.Grow(c.text, TagSize)
	for _, n := range []int{0, 1440} {
		if allocs := testing.AllocsPerRun(100, func() {
			sealed := aead.Seal(packet[:0], c.nonce, packet[:n], c.data)
			if _, err := aead.Open(sealed[:0], c.nonce, sealed, c.data); err != nil {
				t.Fatal(err)
			}
		}); allocs != 0 {
			t.Errorf("%d bytes: %v allocations", n, allocs)
		}
	}
}

// FuzzPacket holds any packet against the standard library.
func FuzzPacket(f *testing.F) {
	f.Add([]byte{}, []byte{}, []byte{}, []byte{}, uint8(0))
	f.Add([]byte("key"), []byte("nonce"), []byte("data"), bytes.Repeat([]byte{0xff}, 257), uint8(1))
	f.Add(bytes.Repeat([]byte{0x80}, KeySize), []byte{1}, []byte{2}, bytes.Repeat([]byte{3}, 1440), uint8(16))
	f.Fuzz(func(t *testing.T, key, nonce, data, text []byte, at uint8) {
		c := call{make([]byte, KeySize), make([]byte, NonceSize), make([]byte, DataSize), text}
		copy(c.key, key)
		copy(c.nonce, nonce)
		copy(c.data, data)
		c.agree(t, int(at))
	})
}

func BenchmarkSeal(b *testing.B) {
	benchmark(b, func(b *testing.B, aead cipher.AEAD, packet []byte) {
		var nonce [NonceSize]byte
		var data [DataSize]byte
		for b.Loop() {
			aead.Seal(packet[:0], nonce[:], packet, data[:])
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	benchmark(b, func(b *testing.B, aead cipher.AEAD, packet []byte) {
		var nonce [NonceSize]byte
		var data [DataSize]byte
		sealed := aead.Seal(nil, nonce[:], packet, data[:])
		scratch := make([]byte, len(sealed))
		for b.Loop() {
			copy(scratch, sealed)
			if _, err := aead.Open(scratch[:0], nonce[:], scratch, data[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchmark(b *testing.B, run func(*testing.B, cipher.AEAD, []byte)) {
	key := make([]byte, KeySize)
	for _, n := range []int{64, 1440} {
		for name, aead := range map[string]cipher.AEAD{"": fast(b, key), "/standard": standard(key)} {
			b.Run(fmt.Sprint(n, name), func(b *testing.B) {
				b.SetBytes(int64(n))
				run(b, aead, make([]byte, n, n+TagSize))
			})
		}
	}
}
