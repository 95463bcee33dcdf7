// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// cut returns the fragments of a packet as packets.
func cut(p packet.Packet, mtu int) []packet.Packet {
	return cutParts(p.Header(), p.Payload(), mtu)
}

func cutParts(header packet.Packet, payload []byte, mtu int) (pieces []packet.Packet) {
	f := packet.NewFragmenter(header, payload, mtu)
	for {
		var memory [packet.MaxHeaderLen]byte
		header, payload, ok := f.Next(&memory)
		if !ok {
			return pieces
		}
		pieces = append(pieces, slices.Concat(header, payload))
	}
}

// fragmentable draws a packet that may be cut.
func fragmentable(t *rapid.T) packet.Packet {
	options := packettest.Options(t)
	size := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 3000), rapid.IntRange(0, packet.MaxLen-packet.HeaderLen-len(options))).Draw(t, "payload")
	return packettest.Spec{
		ID:       rapid.Uint16().Draw(t, "ID"),
		TTL:      rapid.ByteMin(1).Draw(t, "TTL"),
		Protocol: rapid.ByteMin(1).Draw(t, "protocol"),
		Options:  options,
		Payload:  packettest.Pattern(size),
	}.Build()
}

func drawMTU(t *rapid.T, label string) int {
	return rapid.OneOf(rapid.IntRange(packet.MinMTU, 200), rapid.IntRange(packet.MinMTU, 1500), rapid.IntRange(packet.MinMTU, packet.MaxLen)).Draw(t, label)
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
		whole, err := packettest.Reassemble(pieces)
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
		var pieces []packet.Packet
		for _, piece := range cut(p, drawMTU(t, "first MTU")) {
			pieces = append(pieces, cut(piece, drawMTU(t, "second MTU"))...)
		}
		whole, err := packettest.Reassemble(rapid.Permutation(pieces).Draw(t, "order"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(whole, p) {
			t.Fatalf("got %x, want %x", []byte(whole), []byte(p))
		}
	})
}

func TestPayloadIsNotCopied(t *testing.T) {
	p := packettest.Spec{Payload: packettest.Pattern(1000)}.Build()
	f := packet.NewFragmenter(p.Header(), p.Payload(), 500)
	var memory [packet.MaxHeaderLen]byte
	_, payload, _ := f.Next(&memory)
	if &payload[0] != &p[packet.HeaderLen] {
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
		p := packettest.Spec{Options: test.options, Payload: packettest.Pattern(500)}.Build()
		pieces := cut(p, 200)
		if got := pieces[0].Options(); !bytes.Equal(got, test.options) {
			t.Errorf("%s: the first has options %x, want %x", test.name, got, test.options)
		}
		for _, piece := range pieces[1:] {
			if got := piece.Options(); !bytes.Equal(got, test.want) {
				t.Errorf("%s: a later one has options %x, want %x", test.name, got, test.want)
			}
		}
	}
}

// Whatever options a packet claims to have, its fragments are packets, are
// short enough, and carry all of its payload.
func FuzzFragment(f *testing.F) {
	f.Add([]byte(packettest.Spec{Payload: packettest.Pattern(300)}.Build()), 100)
	f.Add([]byte(packettest.Spec{Options: []byte{148, 4, 0, 0}, Payload: packettest.Pattern(300), Flags: packet.FlagMF | 10}.Build()), 68)
	f.Add([]byte(packettest.Spec{Options: []byte{1, 1, 1, 148}, Payload: packettest.Pattern(100)}.Build()), 68)
	f.Add([]byte(packettest.Spec{}.Build()), 1000)
	f.Fuzz(func(t *testing.T, b []byte, mtu int) {
		b = packettest.Repair(b)
		p, err := packet.Parse(b)
		if err != nil || mtu < packet.MinMTU || int(p.Flags()&packet.OffsetMask)*8+len(b) > packet.MaxLen {
			return
		}
		var payload []byte
		for i, piece := range cut(p, mtu) {
			if _, err := packet.Parse(piece); err != nil {
				t.Fatalf("fragment %d: %v", i, err)
			}
			if len(piece) > mtu {
				t.Fatalf("fragment %d has %d bytes, MTU %d", i, len(piece), mtu)
			}
			if at := int(piece.Flags()&packet.OffsetMask - p.Flags()&packet.OffsetMask); at*8 != len(payload) {
				t.Fatalf("fragment %d is at %d, want %d", i, at*8, len(payload))
			}
			payload = append(payload, piece.Payload()...)
		}
		if !bytes.Equal(payload, p.Payload()) {
			t.Fatal("the payload is not the packet's")
		}
	})
}
