package tun

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// sumPortable is sum on a machine that has no sumWide.
func sumPortable(b []byte, s uint64) uint64 {
	from := wideFrom
	wideFrom = math.MaxInt
	s = sum(b, s)
	wideFrom = from
	return s
}

// agree holds the machine's own sum and the portable one against RFC 1071. Two
// sums are equal if they fold to the same number: zero is the sum of nothing but
// zeros, its other form, 0xffff, is that of everything else.
func agree(t *testing.T, b []byte, s uint64) {
	t.Helper()
	want := uint16(slowSum(b, uint32(fold(s))))
	if got := fold(sumPortable(b, s)); got != want {
		t.Errorf("portable: %d bytes after %#x: %#04x, want %#04x", len(b), s, got, want)
	}
	if got := fold(sum(b, s)); got != want {
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
			if s := random.Uint64(); fold(sum(b, s)) != fold(sumPortable(b, s)) {
				t.Fatalf("%d bytes at %d after %#x: %#04x, portably %#04x", n, at, s, fold(sum(b, s)), fold(sumPortable(b, s)))
			}
		}
	}
	for n := range lengths + 1 {
		agree(t, memory[n%alignments:][:n], random.Uint64())
	}
}

// Every addition has a carry, or none.
func TestSumsOfExtremes(t *testing.T) {
	ones, zeros := bytes.Repeat([]byte{0xff}, maxPacket), make([]byte, maxPacket)
	last := make([]byte, maxPacket)
	last[len(last)-1] = 1
	for _, n := range []int{0, 1, 2, 7, 8, 31, 32, 33, 63, 64, 127, 128, 129, 160, 1448, 1460, 4096, maxPacket - 1, maxPacket} {
		for _, s := range []uint64{0, 1, 0xffff, 1 << 63, math.MaxUint32, math.MaxUint64 - 1, math.MaxUint64} {
			agree(t, ones[:n], s)
			agree(t, zeros[:n], s)
			agree(t, last[len(last)-n:], s)
		}
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{}, uint64(0), uint8(0))
	f.Add(bytes.Repeat([]byte{0xff}, 300), uint64(math.MaxUint64), uint8(1))
	f.Add(pattern(1460, 0), uint64(0), uint8(20))
	f.Fuzz(func(t *testing.T, b []byte, s uint64, at uint8) {
		agree(t, b[min(int(at), len(b)):], s)
	})
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{40, 64, 128, 192, 256, 1460, 64 << 10} {
		// A payload begins behind headers, and not where memory does.
		data := pattern(n+52, 0)[52:]
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				sum(data, 0)
			}
		})
		b.Run(fmt.Sprintf("%d/portable", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				sumPortable(data, 0)
			}
		})
	}
}
