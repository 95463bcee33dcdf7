package route

import (
	"slices"
	"testing"
)

// changed returns a copy of p with one byte replaced and the checksum right.
func changed(p packet, at int, to byte) packet {
	c := slices.Clone(p)
	c[at] = to
	if c.headerLen() >= minHeader && c.headerLen() <= len(c) {
		c.seal()
	}
	return c
}

func TestParse(t *testing.T) {
	good := spec{payload: pattern(30)}.build()
	badChecksum := slices.Clone(good)
	badChecksum[10] ^= 1
	tests := []struct {
		name   string
		packet []byte
		want   Reason
	}{
		{"good", good, Forwarded},
		{"good, with options", spec{options: []byte{1, 1, 1, 0}}.build(), Forwarded},
		{"good, no payload", spec{}.build(), Forwarded},
		{"empty", nil, TooShort},
		{"a single byte", good[:1], TooShort},
		{"a byte short of a header", good[:19], TooShort},
		{"IPv6", []byte{0x60, 0, 0, 0}, IPv6},
		{"IPv6, whole header", make6(), IPv6},
		{"version 0", changed(good, 0, 0x05), NotIP},
		{"version 15", changed(good, 0, 0xf5), NotIP},
		{"header length below the minimum", changed(good, 0, 0x44), BadLength},
		{"header longer than the packet", changed(spec{}.build(), 0, 0x46), BadLength},
		{"total length too large", changed(good, 3, 51), BadLength},
		{"total length too small", changed(good, 3, 49), BadLength},
		{"total length shorter than the header", changed(good, 3, 19), BadLength},
		{"cut short", good[:40], BadLength},
		{"bytes behind it", append(slices.Clone(good), 0), BadLength},
		{"wrong checksum", badChecksum, BadChecksum},
	}
	for _, test := range tests {
		if p, got := parse(test.packet); got != test.want || (p != nil) != (test.want == Forwarded) {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func make6() []byte {
	p := make([]byte, 40)
	p[0] = 0x60
	return p
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
		if got := (spec{dst: dst}).build().multicast(); got != want {
			t.Errorf("%s: multicast %v, want %v", dst, got, want)
		}
	}
}

// What parse accepts must be safe to take apart, and complete.
func FuzzParse(f *testing.F) {
	f.Add([]byte(spec{payload: pattern(30)}.build()))
	f.Add([]byte(spec{options: []byte{7, 7, 4, 1, 2, 3, 4, 0}, flags: flagMF | 5}.build()))
	f.Add(make6())
	f.Add([]byte{0x4f})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, reason := parse(b)
		if reason != Forwarded {
			if p != nil {
				t.Fatalf("refused as %s, but returned", reason)
			}
			return
		}
		if len(p.header())+len(p.payload()) != len(b) || len(p.header()) != minHeader+len(p.options()) {
			t.Fatalf("header %d, options %d, payload %d of %d bytes", len(p.header()), len(p.options()), len(p.payload()), len(b))
		}
		if slowChecksum(p.header()) != 0 {
			t.Fatal("accepted a wrong checksum")
		}
		if !p.source().Is4() || !p.destination().Is4() {
			t.Fatal("addresses are not IPv4")
		}
		if p.ttl() > 0 {
			p.decrementTTL()
			if slowChecksum(p.header()) != 0 {
				t.Fatal("decrementing the TTL broke the checksum")
			}
		}
	})
}
