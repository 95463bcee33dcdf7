package route

import (
	"encoding/binary"
	"net/netip"
)

const (
	minHeader = 20 // bytes, without options
	maxHeader = 60 // 15 words of 4 bytes
	maxPacket = 65535

	// minMTU is what every IPv4 module must take without fragmenting (RFC 791):
	// the longest header and one unit of fragment offset.
	minMTU = maxHeader + 8
)

// The flags beside the fragment offset (RFC 791, section 3.1).
const (
	flagDF     = 0x4000
	flagMF     = 0x2000
	offsetMask = 0x1fff // in units of 8 bytes
)

// packet is an overlay packet that parse accepted: its accessors stay inside it.
type packet []byte

// parse checks that b is one IPv4 packet, whole and nothing but (RFC 1812,
// section 5.2.2). Otherwise the reason says what is wrong.
func parse(b []byte) (packet, Reason) {
	if len(b) == 0 {
		return nil, TooShort
	}
	if version := b[0] >> 4; version != 4 {
		if version == 6 {
			return nil, IPv6
		}
		return nil, NotIP
	}
	if len(b) < minHeader {
		return nil, TooShort
	}
	p := packet(b)
	if hl := p.headerLen(); hl < minHeader || hl > len(b) || p.totalLen() != len(b) {
		return nil, BadLength
	}
	if checksum(p.header()) != 0 {
		return nil, BadChecksum
	}
	return p, Forwarded
}

func (p packet) headerLen() int { return int(p[0]&0x0f) * 4 }
func (p packet) totalLen() int  { return int(binary.BigEndian.Uint16(p[2:])) }
func (p packet) flags() uint16  { return binary.BigEndian.Uint16(p[6:]) } // with the fragment offset
func (p packet) ttl() byte      { return p[8] }
func (p packet) protocol() byte { return p[9] }

func (p packet) source() netip.Addr      { return netip.AddrFrom4([4]byte(p[12:16])) }
func (p packet) destination() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }

// header is the IP header with its options, payload the rest.
func (p packet) header() packet  { return p[:p.headerLen()] }
func (p packet) payload() []byte { return p[p.headerLen():] }

// options is what the header has beyond its fixed part.
func (p packet) options() []byte { return p[minHeader:p.headerLen()] }

func (p packet) dontFragment() bool { return p.flags()&flagDF != 0 }

// laterFragment reports whether the packet is a fragment other than the first.
func (p packet) laterFragment() bool { return p.flags()&offsetMask != 0 }

// multicast reports whether the destination is a multicast group or the limited
// broadcast address.
func (p packet) multicast() bool {
	return p[16]&0xf0 == 0xe0 || binary.BigEndian.Uint32(p[16:]) == 0xffffffff
}

// decrementTTL takes one off the TTL, which must not be zero, and keeps the
// checksum right without looking at the rest of the header.
func (p packet) decrementTTL() {
	old := binary.BigEndian.Uint16(p[8:]) // TTL and protocol share a word
	p[8]--
	check := updateChecksum(binary.BigEndian.Uint16(p[10:]), old, binary.BigEndian.Uint16(p[8:]))
	binary.BigEndian.PutUint16(p[10:], check)
}

// seal writes the checksum of a header just made.
func (p packet) seal() {
	binary.BigEndian.PutUint16(p[10:], 0)
	binary.BigEndian.PutUint16(p[10:], checksum(p.header()))
}
