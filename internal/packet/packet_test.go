// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"errors"
	"slices"
	"testing"

	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

func TestParse(t *testing.T) {
	good := packettest.Spec{Payload: packettest.Pattern(30)}.Build()
	badChecksum := slices.Clone(good)
	badChecksum[10] ^= 1
	tests := []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"good", good, nil},
		{"good, with options", packettest.Spec{Options: []byte{1, 1, 1, 0}}.Build(), nil},
		{"good, no payload", packettest.Spec{}.Build(), nil},
		{"empty", nil, packet.ErrShort},
		{"a single byte", good[:1], packet.ErrShort},
		{"a byte short of a header", good[:19], packet.ErrShort},
		{"IPv6", []byte{0x60, 0, 0, 0}, packet.ErrIPv6},
		{"IPv6, whole header", packettest.IPv6(), packet.ErrIPv6},
		{"version 0", packettest.Changed(good, 0, 0x05), packet.ErrVersion},
		{"version 15", packettest.Changed(good, 0, 0xf5), packet.ErrVersion},
		{"header length below the minimum", packettest.Changed(good, 0, 0x44), packet.ErrLength},
		{"header longer than the packet", packettest.Changed(packettest.Spec{}.Build(), 0, 0x46), packet.ErrLength},
		{"total length too large", packettest.Changed(good, 3, 51), packet.ErrLength},
		{"total length too small", packettest.Changed(good, 3, 49), packet.ErrLength},
		{"total length shorter than the header", packettest.Changed(good, 3, 19), packet.ErrLength},
		{"cut short", good[:40], packet.ErrLength},
		{"bytes behind it", append(slices.Clone(good), 0), packet.ErrLength},
		{"wrong checksum", badChecksum, packet.ErrChecksum},
	}
	for _, test := range tests {
		if p, got := packet.Parse(test.bytes); !errors.Is(got, test.want) || (p != nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestMulticastDestinations(t *testing.T) {
	for dst, want := range map[string]bool{
		"224.0.0.1":       true,
		"239.255.255.255": true,
		"255.255.255.255": true,
		"223.255.255.255": false,
		"240.0.0.0":       false,
		"255.255.255.254": false,
	} {
		if got := (packettest.Spec{Dst: dst}).Build().Multicast(); got != want {
			t.Errorf("%s: multicast %v, want %v", dst, got, want)
		}
	}
}

// What parse accepts must be safe to take apart, and complete.
func FuzzParse(f *testing.F) {
	f.Add([]byte(packettest.Spec{Payload: packettest.Pattern(30)}.Build()))
	f.Add([]byte(packettest.Spec{Options: []byte{7, 7, 4, 1, 2, 3, 4, 0}, Flags: packet.FlagMF | 5}.Build()))
	f.Add(packettest.IPv6())
	f.Add([]byte{0x4f})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := packet.Parse(b)
		if err != nil {
			if p != nil {
				t.Fatalf("refused: %v, but returned", err)
			}
			return
		}
		if len(p.Header())+len(p.Payload()) != len(b) || len(p.Header()) != packet.HeaderLen+len(p.Options()) {
			t.Fatalf("header %d, options %d, payload %d of %d bytes", len(p.Header()), len(p.Options()), len(p.Payload()), len(b))
		}
		if packettest.SlowChecksum(p.Header()) != 0 {
			t.Fatal("accepted a wrong checksum")
		}
		if !p.Source().Is4() || !p.Destination().Is4() {
			t.Fatal("addresses are not IPv4")
		}
		if p.TTL() > 0 {
			p.DecrementTTL()
			if packettest.SlowChecksum(p.Header()) != 0 {
				t.Fatal("decrementing the TTL broke the checksum")
			}
		}
	})
}
