package route

import (
	"testing"

	"pgregory.net/rapid"
)

// slowChecksum is RFC 1071 as it stands there.
func slowChecksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		sum += word
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func TestChecksumIsThatOfTheRFC(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Bytes near 0xff make carries.
		b := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.ByteMin(0xfe)), 0, 300).Draw(t, "bytes")
		if got, want := checksum(b), slowChecksum(b); got != want {
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
		if got := checksum(test.bytes); got != test.want {
			t.Errorf("checksum of %x is %#04x, want %#04x", test.bytes, got, test.want)
		}
	}
}

// The checksum is updated, not recomputed, on every hop (RFC 1624); the result
// must be the same.
func TestDecrementTTLKeepsTheChecksum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := spec{
			ttl:      rapid.ByteMin(1).Draw(t, "TTL"),
			protocol: rapid.ByteMin(1).Draw(t, "protocol"),
			id:       rapid.Uint16().Draw(t, "ID"),
			flags:    rapid.Uint16().Draw(t, "flags"),
			options:  drawOptions(t),
		}.build()
		want := forwarded(p)
		p.decrementTTL()
		if string(p) != string(want) {
			t.Errorf("got %x, want %x", []byte(p), want)
		}
	})
}

// The corner that RFC 1624 corrects: an ID that makes the new checksum 0 or
// 0xffff.
func TestDecrementTTLForEveryChecksum(t *testing.T) {
	for id := range 1 << 16 {
		p := spec{id: uint16(id)}.build()
		want := forwarded(p)
		p.decrementTTL()
		if string(p) != string(want) {
			t.Fatalf("ID %d: got %x, want %x", id, []byte(p), want)
		}
	}
}
