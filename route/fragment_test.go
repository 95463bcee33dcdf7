package route

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// cut returns the fragments of a packet as packets.
func cut(p packet, mtu int) []packet {
	return cutParts(p.header(), p.payload(), mtu)
}

func cutParts(header packet, payload []byte, mtu int) (fragmentsOfIt []packet) {
	f := fragments(header, payload, mtu)
	for {
		var memory [maxHeader]byte
		header, payload, ok := f.next(&memory)
		if !ok {
			return fragmentsOfIt
		}
		fragmentsOfIt = append(fragmentsOfIt, slices.Concat(header, payload))
	}
}

// reassemble puts fragments together as the receiver does (RFC 791, section
// 3.2). The fragments may come in any order. The result has the first fragment's
// header.
func reassemble(pieces []packet) (packet, error) {
	var whole packet
	var payload []byte
	have := make(map[int]bool) // units of 8 bytes
	end := -1
	for _, p := range pieces {
		if _, reason := parse(p); reason != Forwarded {
			return nil, fmt.Errorf("fragment %x: %s", []byte(p), reason)
		}
		at := int(p.flags()&offsetMask) * 8
		if at == 0 {
			whole = slices.Clone(p.header())
		}
		if last := p.flags()&flagMF == 0; last {
			end = at + len(p.payload())
		} else if len(p.payload())%8 != 0 || len(p.payload()) == 0 {
			return nil, fmt.Errorf("a fragment of %d bytes that is not the last", len(p.payload()))
		}
		if need := at + len(p.payload()); need > len(payload) {
			payload = append(payload, make([]byte, need-len(payload))...)
		}
		copy(payload[at:], p.payload())
		for unit := at / 8; unit*8 < at+len(p.payload()); unit++ {
			if have[unit] {
				return nil, fmt.Errorf("unit %d twice", unit)
			}
			have[unit] = true
		}
	}
	if whole == nil || end != len(payload) || len(have) != (end+7)/8 {
		return nil, fmt.Errorf("incomplete: %d units, end %d, %d bytes", len(have), end, len(payload))
	}
	whole = append(whole, payload...)
	binary.BigEndian.PutUint16(whole[2:], uint16(len(whole)))
	binary.BigEndian.PutUint16(whole[6:], whole.flags()&^flagMF)
	whole.seal()
	return whole, nil
}

// fragmentable draws a packet that may be cut.
func fragmentable(t *rapid.T) packet {
	options := drawOptions(t)
	size := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 3000), rapid.IntRange(0, maxPacket-minHeader-len(options))).Draw(t, "payload")
	return spec{
		id:       rapid.Uint16().Draw(t, "ID"),
		ttl:      rapid.ByteMin(1).Draw(t, "TTL"),
		protocol: rapid.ByteMin(1).Draw(t, "protocol"),
		options:  options,
		payload:  pattern(size),
	}.build()
}

func drawMTU(t *rapid.T, label string) int {
	return rapid.OneOf(rapid.IntRange(minMTU, 200), rapid.IntRange(minMTU, 1500), rapid.IntRange(minMTU, maxPacket)).Draw(t, label)
}

func TestFragmentsReassembleToThePacket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, mtu := fragmentable(t), drawMTU(t, "MTU")
		pieces := cut(p, mtu)
		for i, piece := range pieces {
			if len(piece) > mtu {
				t.Fatalf("fragment %d has %d bytes, MTU %d", i, len(piece), mtu)
			}
		}
		if len(p) <= mtu && len(pieces) != 1 {
			t.Fatalf("%d fragments of a packet that fits", len(pieces))
		}
		whole, err := reassemble(pieces)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(whole, p) {
			t.Fatalf("got %x, want %x", []byte(whole), []byte(p))
		}
	})
}

// A narrower path behind a narrow one: fragments of fragments, in any order.
func TestFragmentsOfFragmentsReassemble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := fragmentable(t)
		var pieces []packet
		for _, piece := range cut(p, drawMTU(t, "first MTU")) {
			pieces = append(pieces, cut(piece, drawMTU(t, "second MTU"))...)
		}
		whole, err := reassemble(rapid.Permutation(pieces).Draw(t, "order"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(whole, p) {
			t.Fatalf("got %x, want %x", []byte(whole), []byte(p))
		}
	})
}

func TestPayloadIsNotCopied(t *testing.T) {
	p := spec{payload: pattern(1000)}.build()
	f := fragments(p.header(), p.payload(), 500)
	var memory [maxHeader]byte
	_, payload, _ := f.next(&memory)
	if &payload[0] != &p[minHeader] {
		t.Error("the first fragment's payload is not the packet's own")
	}
}

func TestOptionsInLaterFragments(t *testing.T) {
	tests := []struct {
		name          string
		options, want []byte
	}{
		{"none", nil, nil},
		{"record route stays in the first", []byte{7, 7, 4, 0, 0, 0, 0, 0}, nil},
		{"router alert goes into all", []byte{148, 4, 0, 0}, []byte{148, 4, 0, 0}},
		{"padding is made anew", []byte{1, 130, 3, 9, 68, 4, 5, 0}, []byte{130, 3, 9, 0}},
		{"nothing counts after the end", []byte{0, 148, 4, 0}, nil},
		{"a length beyond the header", []byte{148, 40, 0, 0}, nil},
		{"a length of zero", []byte{148, 0, 0, 0}, nil},
		{"no room for a length", []byte{1, 1, 1, 148}, nil},
	}
	for _, test := range tests {
		p := spec{options: test.options, payload: pattern(500)}.build()
		pieces := cut(p, 200)
		if got := pieces[0].options(); !bytes.Equal(got, test.options) {
			t.Errorf("%s: the first has options %x, want %x", test.name, got, test.options)
		}
		for _, piece := range pieces[1:] {
			if got := piece.options(); !bytes.Equal(got, test.want) {
				t.Errorf("%s: a later one has options %x, want %x", test.name, got, test.want)
			}
		}
	}
}

// Whatever options a packet claims to have, its fragments are packets, are short
// enough, and carry all of its payload.
func FuzzFragment(f *testing.F) {
	f.Add([]byte(spec{payload: pattern(300)}.build()), 100)
	f.Add([]byte(spec{options: []byte{148, 4, 0, 0}, payload: pattern(300), flags: flagMF | 10}.build()), 68)
	f.Add([]byte(spec{options: []byte{1, 1, 1, 148}, payload: pattern(100)}.build()), 68)
	f.Add([]byte(spec{}.build()), 1000)
	f.Fuzz(func(t *testing.T, b []byte, mtu int) {
		b = repair(b)
		p, reason := parse(b)
		if reason != Forwarded || mtu < minMTU || int(p.flags()&offsetMask)*8+len(b) > maxPacket {
			return
		}
		var payload []byte
		for i, piece := range cut(p, mtu) {
			if _, reason := parse(piece); reason != Forwarded {
				t.Fatalf("fragment %d: %s", i, reason)
			}
			if len(piece) > mtu {
				t.Fatalf("fragment %d has %d bytes, MTU %d", i, len(piece), mtu)
			}
			if at := int(piece.flags()&offsetMask - p.flags()&offsetMask); at*8 != len(payload) {
				t.Fatalf("fragment %d is at %d, want %d", i, at*8, len(payload))
			}
			payload = append(payload, piece.payload()...)
		}
		if !bytes.Equal(payload, p.payload()) {
			t.Fatal("the payload is not the packet's")
		}
	})
}
