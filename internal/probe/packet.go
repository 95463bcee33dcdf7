package probe

import (
	"encoding/binary"
	"net/netip"
)

// Layout of a probe: IPv4 header without options, ICMP echo header, cookie,
// zeros.
const (
	ipHeader   = 20
	icmpHeader = 8
	cookieLen  = 8
	// smallSize is the length of a small probe, in bytes.
	smallSize = ipHeader + icmpHeader + cookieLen

	protocolICMP = 1
	flagDF       = 0x4000
	plainTTL     = 63 // of a packet that a router has forwarded once
)

// ICMP types (RFC 792).
const (
	typeEchoReply    = 0
	typeUnreachable  = 3
	typeEcho         = 8
	typeTimeExceeded = 11
)

// token is what a prober's probes have in common. It is random.
type token struct {
	id     uint16
	cookie [cookieLen]byte
}

// request describes a probe.
type request struct {
	source, destination netip.Addr
	sequence            uint16
	ttl                 byte
	size                int // bytes of the whole packet, smallSize to 65535
}

// build writes a probe. Its memory is new.
func (t token) build(r request) []byte {
	b := make([]byte, max(r.size, smallSize))
	b[0] = 4<<4 | ipHeader/4
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[6:], flagDF) // so the IP identification may be 0 (RFC 6864)
	b[8], b[9] = r.ttl, protocolICMP
	source, destination := r.source.As4(), r.destination.As4()
	copy(b[12:], source[:])
	copy(b[16:], destination[:])
	binary.BigEndian.PutUint16(b[10:], checksum(b[:ipHeader]))

	icmp := b[ipHeader:]
	icmp[0] = typeEcho
	binary.BigEndian.PutUint16(icmp[4:], t.id)
	binary.BigEndian.PutUint16(icmp[6:], r.sequence)
	copy(icmp[icmpHeader:], t.cookie[:])
	binary.BigEndian.PutUint16(icmp[2:], checksum(icmp))
	return b
}

// reply is what came back.
type reply struct {
	from     netip.Addr
	sequence uint16
	kind     byte // ICMP type
	code     byte
	size     int // bytes of the packet
}

// parse reports whether a packet answers a probe of this token. Its IP header
// must be whole and right; everything behind it may be anything.
func (t token) parse(b []byte) (reply, bool) {
	if len(b) < ipHeader+icmpHeader || b[0]>>4 != 4 || b[9] != protocolICMP {
		return reply{}, false
	}
	header := int(b[0]&0x0f) * 4
	if header < ipHeader || len(b) < header+icmpHeader {
		return reply{}, false
	}
	icmp := b[header:]
	r := reply{from: netip.AddrFrom4([4]byte(b[12:16])), kind: icmp[0], code: icmp[1], size: len(b)}
	echo := icmp
	switch r.kind {
	case typeEchoReply:
	case typeTimeExceeded, typeUnreachable: // quotes the probe (RFC 792; RFC 1812 section 4.3.2.3)
		quoted := icmp[icmpHeader:]
		if len(quoted) < ipHeader || quoted[9] != protocolICMP {
			return reply{}, false
		}
		if header = int(quoted[0]&0x0f) * 4; header < ipHeader || len(quoted) < header {
			return reply{}, false
		}
		echo = quoted[header:]
	default:
		return reply{}, false
	}
	if len(echo) < icmpHeader+cookieLen || binary.BigEndian.Uint16(echo[4:]) != t.id || [cookieLen]byte(echo[icmpHeader:]) != t.cookie {
		return reply{}, false
	}
	if r.kind == typeEchoReply && checksum(icmp) != 0 {
		return reply{}, false
	}
	r.sequence = binary.BigEndian.Uint16(echo[6:])
	return r, true
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
