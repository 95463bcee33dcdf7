// SPDX-License-Identifier: Apache-2.0

// Package packettest makes packets for tests.
package packettest

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"pgregory.net/rapid"

	"flanneld/internal/packet"
)

// Spec describes an IPv4 packet. A zero field gets the value in its comment.
type Spec struct {
	Src      string // 10.244.1.5
	Dst      string // 10.244.2.5
	TTL      byte   // 64
	TOS      byte
	Protocol byte // UDP
	Flags    uint16
	ID       uint16
	Options  []byte // a multiple of 4
	Payload  []byte
}

// Build makes the packet with correct lengths and checksum.
func (s Spec) Build() packet.Packet {
	hl := packet.HeaderLen + len(s.Options)
	p := packet.Header{
		TOS: s.TOS, TTL: or(s.TTL, 64), Protocol: or(s.Protocol, packet.UDP),
		Source:      netip.MustParseAddr(or(s.Src, "10.244.1.5")),
		Destination: netip.MustParseAddr(or(s.Dst, "10.244.2.5")),
	}.Put(make([]byte, hl+len(s.Payload)))
	p[0] = 4<<4 | byte(hl/4)
	binary.BigEndian.PutUint16(p[4:], s.ID)
	binary.BigEndian.PutUint16(p[6:], s.Flags)
	copy(p[packet.HeaderLen:], s.Options)
	copy(p[hl:], s.Payload)
	p.SetChecksum()
	return p
}

// or is v, or otherwise where v is zero.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Forwarded returns a copy of the packet as a router that takes one off the TTL
// would send it, with the checksum computed anew.
func Forwarded(p []byte) []byte {
	c := packet.Packet(slices.Clone(p))
	c[8]--
	c.SetChecksum()
	return c
}

// Changed returns a copy of p with one byte replaced and, where there is a
// header, the checksum right.
func Changed(p packet.Packet, at int, to byte) packet.Packet {
	c := slices.Clone(p)
	c[at] = to
	if c.HeaderLen() >= packet.HeaderLen && c.HeaderLen() <= len(c) {
		c.SetChecksum()
	}
	return c
}

// Pattern is n bytes, each different from its neighbors.
func Pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// Ports is the payload of a UDP or TCP packet that begins with these ports.
func Ports(source, destination uint16) []byte {
	b := Pattern(20)
	binary.BigEndian.PutUint16(b, source)
	binary.BigEndian.PutUint16(b[2:], destination)
	return b
}

// The IP options that have no length (RFC 791, section 3.1).
const (
	optionEnd = 0
	optionNop = 1
)

// Options draws well-formed IP options, padded to 4 bytes, 40 at most.
func Options(t *rapid.T) []byte {
	var b []byte
	for range rapid.IntRange(0, 4).Draw(t, "options") {
		typ := rapid.SampledFrom([]byte{optionNop, 7, 68, 130, 131, 148}).Draw(t, "option")
		option := []byte{typ}
		if typ != optionNop {
			n := rapid.IntRange(2, 10).Draw(t, "option length")
			option = append(option, byte(n))
			option = append(option, Pattern(n-2)...)
		}
		if len(b)+len(option) <= packet.MaxHeaderLen-packet.HeaderLen {
			b = append(b, option...)
		}
	}
	for len(b)%4 != 0 {
		b = append(b, optionEnd)
	}
	return b
}

// Repair makes version, lengths and checksum of fuzzed bytes right where that
// is possible: a fuzzer could hardly guess bytes that packet.Parse accepts.
func Repair(b []byte) []byte {
	if len(b) < packet.HeaderLen || len(b) > packet.MaxLen {
		return b
	}
	p := packet.Packet(slices.Clone(b))
	words := max(packet.HeaderLen/4, min(int(p[0]&0x0f), len(p)/4))
	p[0] = 4<<4 | byte(words)
	packet.SetLength(p, len(p))
	return p
}

// IPv6 is an IPv6 header, for what IPv4 code must refuse.
func IPv6() []byte {
	p := make([]byte, 40)
	p[0] = 0x60
	return p
}

// SlowChecksum is RFC 1071 as it is written: what fast sums are compared with.
func SlowChecksum(b []byte) uint16 { return ^SlowSum(b, 0) }

// SlowSum is the one's complement sum of b and of what came before it, not
// complemented.
func SlowSum(b []byte, before uint16) uint16 {
	s := uint32(before)
	for i, v := range b {
		if i%2 == 0 {
			s += uint32(v) << 8
		} else {
			s += uint32(v)
		}
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
