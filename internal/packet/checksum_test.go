// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// agree holds the machine's own sum and the portable one against RFC 1071. Two
// sums are equal if they fold to the same number: zero is the sum of nothing
// but zeros, its other form, 0xffff, is that of everything else.
func agree(t *testing.T, b []byte, s packet.Sum) {
	t.Helper()
	want := packettest.SlowSum(b, s.Fold())
	if got := s.BytesPortably(b).Fold(); got != want {
		t.Errorf("portable: %d bytes after %#x: %#04x, want %#04x", len(b), s, got, want)
	}
	if got := s.Bytes(b).Fold(); got != want {
		t.Errorf("%d bytes after %#x: %#04x, want %#04x", len(b), s, got, want)
	}
}

func TestSumsOfEveryLengthAndAlignment(t *testing.T) {
	const lengths, alignments = 2000, 64
	random := rand.NewChaCha8([32]byte{1})
	memory := make([]byte, alignments+lengths+1)
	random.Read(memory)
	for at := range alignments {
		for n := range lengths + 1 {
			b := memory[at : at+n : at+n]
			if s := packet.Sum(random.Uint64()); s.Bytes(b).Fold() != s.BytesPortably(b).Fold() {
				t.Fatalf("%d bytes at %d after %#x: %#04x, portably %#04x", n, at, s, s.Bytes(b).Fold(), s.BytesPortably(b).Fold())
			}
		}
	}
	for n := range lengths + 1 {
		agree(t, memory[n%alignments:][:n], packet.Sum(random.Uint64()))
	}
}

// Every addition has a carry, or none.
func TestSumsOfExtremes(t *testing.T) {
	ones, zeros := bytes.Repeat([]byte{0xff}, packet.MaxLen), make([]byte, packet.MaxLen)
	last := make([]byte, packet.MaxLen)
	last[len(last)-1] = 1
	for _, n := range []int{0, 1, 2, 7, 8, 31, 32, 33, 63, 64, 127, 128, 129, 160, 1448, 1460, 4096, packet.MaxLen - 1, packet.MaxLen} {
		for _, s := range []packet.Sum{0, 1, 0xffff, 1 << 63, math.MaxUint32, math.MaxUint64 - 1, math.MaxUint64} {
			agree(t, ones[:n], s)
			agree(t, zeros[:n], s)
			agree(t, last[len(last)-n:], s)
		}
	}
}

func TestChecksumIsThatOfTheRFC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Bytes near 0xff make carries.
		b := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.ByteMin(0xfe)), 0, 300).Draw(t, "bytes")
		if got, want := packet.Checksum(b), packettest.SlowChecksum(b); got != want {
			t.Errorf("checksum %#04x, want %#04x", got, want)
		}
	})
}

func TestChecksumExamples(t *testing.T) {
	for _, test := range []struct {
		bytes []byte
		want  uint16
	}{
		{nil, 0xffff},
		{[]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}, 0x220d}, // RFC 1071, section 3
		{[]byte{0xff}, 0x00ff},
		{[]byte{0xff, 0xff}, 0},
	} {
		if got := packet.Checksum(test.bytes); got != test.want {
			t.Errorf("checksum of %x is %#04x, want %#04x", test.bytes, got, test.want)
		}
	}
}

func TestSumIsThatOfRFC1071(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "bytes")
		at := min(rapid.IntRange(0, 8).Draw(t, "alignment"), len(b))
		start := rapid.Uint16().Draw(t, "start")
		if got, want := packet.Sum(0).Uint16(start).Bytes(b[at:]).Fold(), packettest.SlowSum(b[at:], start); got != want {
			t.Fatalf("%#x, want %#x", got, want)
		}
	})
	for n := range 300 { // carries that run through
		b := bytes.Repeat([]byte{0xff}, n)
		if got, want := packet.Sum(math.MaxUint64).Bytes(b).Fold(), packettest.SlowSum(b, 0xffff); got != want {
			t.Errorf("%d times ff: %#x, want %#x", n, got, want)
		}
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{}, uint64(0), uint8(0))
	f.Add(bytes.Repeat([]byte{0xff}, 300), uint64(math.MaxUint64), uint8(1))
	f.Add(packettest.Pattern(1460), uint64(0), uint8(20))
	f.Fuzz(func(t *testing.T, b []byte, s uint64, at uint8) {
		agree(t, b[min(int(at), len(b)):], packet.Sum(s))
	})
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{40, 64, 128, 192, 256, 1460, 64 << 10} {
		// A payload begins behind headers, and not where memory does.
		data := packettest.Pattern(n + 52)[52:]
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				packet.Sum(0).Bytes(data)
			}
		})
		b.Run(fmt.Sprintf("%d/portable", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				packet.Sum(0).BytesPortably(data)
			}
		})
	}
}
