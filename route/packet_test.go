package route

import (
	"encoding/binary"
	"net/netip"

	"pgregory.net/rapid"
)

// spec describes a packet for a test. What is zero gets a sensible value.
type spec struct {
	src, dst string
	ttl      byte // 64
	protocol byte // UDP
	flags    uint16
	id       uint16
	options  []byte // a multiple of 4
	payload  []byte
}

// build makes the packet with correct lengths and checksum.
func (s spec) build() packet {
	hl := minHeader + len(s.options)
	p := make(packet, hl+len(s.payload))
	p[0] = 4<<4 | byte(hl/4)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	binary.BigEndian.PutUint16(p[4:], s.id)
	binary.BigEndian.PutUint16(p[6:], s.flags)
	p[8], p[9] = s.ttl, s.protocol
	if s.ttl == 0 {
		p[8] = 64
	}
	if s.protocol == 0 {
		p[9] = 17
	}
	copyAddr(p[12:16], s.src, "10.244.1.5")
	copyAddr(p[16:20], s.dst, "10.244.2.5")
	copy(p[minHeader:], s.options)
	copy(p[hl:], s.payload)
	p.seal()
	return p
}

func copyAddr(dst []byte, addr, otherwise string) {
	if addr == "" {
		addr = otherwise
	}
	copy(dst, netip.MustParseAddr(addr).AsSlice())
}

// forwarded returns a copy of the packet as a router that takes one off the TTL
// would send it, with the checksum computed afresh.
func forwarded(p []byte) []byte {
	c := append(packet(nil), p...)
	c[8]--
	c.seal()
	return c
}

// pattern is n bytes, none like its neighbours.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// drawOptions draws well-formed options, padded to 4 bytes, 40 at most.
func drawOptions(t *rapid.T) []byte {
	var b []byte
	for range rapid.IntRange(0, 4).Draw(t, "options") {
		typ := rapid.SampledFrom([]byte{optionNop, 7, 68, 130, 131, 148}).Draw(t, "option")
		option := []byte{typ}
		if typ != optionNop {
			n := rapid.IntRange(2, 10).Draw(t, "option length")
			option = append(option, byte(n))
			option = append(option, pattern(n-2)...)
		}
		if len(b)+len(option) <= maxHeader-minHeader {
			b = append(b, option...)
		}
	}
	for len(b)%4 != 0 {
		b = append(b, optionEnd)
	}
	return b
}

// repair makes version, lengths and checksum of fuzzed bytes right where that is
// possible, so that a fuzzer gets past parse, which it could hardly guess its way
// through.
func repair(b []byte) []byte {
	if len(b) < minHeader || len(b) > maxPacket {
		return b
	}
	p := append(packet(nil), b...)
	words := max(minHeader/4, min(int(p[0]&0x0f), len(p)/4))
	p[0] = 4<<4 | byte(words)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	p.seal()
	return p
}
