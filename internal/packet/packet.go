// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

const (
	// HeaderLen is the length of an IPv4 header without options, in bytes.
	HeaderLen = 20

	// MaxHeaderLen is the length of the longest IPv4 header: 15 words of 4
	// bytes.
	MaxHeaderLen = 60

	// MaxLen is the length of the longest IPv4 packet, in bytes.
	MaxLen = 65535

	// MinMTU is what every IPv4 module must take without fragmenting (RFC 791):
	// the longest header and one unit of fragment offset.
	MinMTU = MaxHeaderLen + 8
)

// Protocol numbers, as Packet.Protocol returns them.
const (
	ICMP = 1
	TCP  = 6
	UDP  = 17
)

// The flags beside the fragment offset (RFC 791, section 3.1).
const (
	FlagDF     = 0x4000
	FlagMF     = 0x2000
	OffsetMask = 0x1fff // in units of 8 bytes
)

// Errors of Parse. All are sentinel values, compared with ==, so that a flood
// of bad packets allocates nothing.
var (
	ErrShort    = errors.New("shorter than an IP header")
	ErrVersion  = errors.New("not an IP packet")
	ErrIPv6     = errors.New("an IPv6 packet")
	ErrLength   = errors.New("wrong header length or total length")
	ErrChecksum = errors.New("wrong header checksum")
)

// Packet is one whole IP packet. Only Parse and Header.Put make one; the
// methods of any other bytes may panic. A Packet shares the memory of the bytes
// that it was made of.
type Packet []byte

// Parse checks that b is one IPv4 packet, whole and nothing else (RFC 1812,
// section 5.2.2). It does not look behind the IP header.
func Parse(b []byte) (Packet, error) {
	if len(b) == 0 {
		return nil, ErrShort
	}
	if version := b[0] >> 4; version != 4 {
		if version == 6 {
			return nil, ErrIPv6
		}
		return nil, ErrVersion
	}
	if len(b) < HeaderLen {
		return nil, ErrShort
	}
	p := Packet(b)
	if hl := p.HeaderLen(); hl < HeaderLen || hl > len(b) || p.totalLen() != len(b) {
		return nil, ErrLength
	}
	if Checksum(p.Header()) != 0 {
		return nil, ErrChecksum
	}
	return p, nil
}

// HeaderLen is the length of the IP header with its options, in bytes.
func (p Packet) HeaderLen() int { return int(p[0]&0x0f) * 4 }

func (p Packet) totalLen() int { return int(binary.BigEndian.Uint16(p[2:])) }

// Flags are FlagDF, FlagMF and, in OffsetMask, the fragment offset.
func (p Packet) Flags() uint16 { return binary.BigEndian.Uint16(p[6:]) }

// TOS is the type of service: DSCP and the two bits of ECN.
func (p Packet) TOS() byte { return p[1] }

// TTL is the time to live.
func (p Packet) TTL() byte { return p[8] }

// Protocol is the number of the protocol that the payload is of.
func (p Packet) Protocol() byte { return p[9] }

// Source is the source address.
func (p Packet) Source() netip.Addr { return netip.AddrFrom4([4]byte(p[12:16])) }

// Destination is the destination address.
func (p Packet) Destination() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }

// Addresses are the source and the destination of a packet, to be compared
// with ==.
type Addresses [8]byte

// Addresses are those of the packet.
func (p Packet) Addresses() Addresses { return Addresses(p[12:20]) }

// Header is the IP header with its options.
func (p Packet) Header() Packet { return p[:p.HeaderLen()] }

// Payload is what follows the IP header.
func (p Packet) Payload() []byte { return p[p.HeaderLen():] }

// Options are what the header has beyond its fixed part.
func (p Packet) Options() []byte { return p[HeaderLen:p.HeaderLen()] }

// DontFragment reports whether routers must not fragment the packet.
func (p Packet) DontFragment() bool { return p.Flags()&FlagDF != 0 }

// Fragment reports whether the packet is a fragment, the first one included.
func (p Packet) Fragment() bool { return p.Flags()&(FlagMF|OffsetMask) != 0 }

// LaterFragment reports whether the packet is a fragment other than the first.
func (p Packet) LaterFragment() bool { return p.Flags()&OffsetMask != 0 }

// Multicast reports whether the destination is a multicast group or the limited
// broadcast address.
func (p Packet) Multicast() bool {
	return p[16]&0xf0 == 0xe0 || binary.BigEndian.Uint32(p[16:]) == 0xffffffff
}

// DecrementTTL takes one off the TTL, which must not be zero. It updates the
// checksum without reading the rest of the header.
func (p Packet) DecrementTTL() {
	old := binary.BigEndian.Uint16(p[8:]) // TTL and protocol share a word
	p[8]--
	check := updateChecksum(binary.BigEndian.Uint16(p[10:]), old, binary.BigEndian.Uint16(p[8:]))
	binary.BigEndian.PutUint16(p[10:], check)
}

// SetChecksum computes the checksum of the IP header anew.
func (p Packet) SetChecksum() {
	binary.BigEndian.PutUint16(p[10:], 0)
	binary.BigEndian.PutUint16(p[10:], Checksum(p.Header()))
}
