package lab

import (
	"encoding/binary"
	"net/netip"
)

// Packets made by hand, for peers that are not flanneld and for hostile ones.

// IPPacket builds an IPv4 packet (RFC 791) without options, with a correct
// header checksum and DF clear.
func IPPacket(from, to netip.Addr, protocol byte, payload []byte) []byte {
	b := make([]byte, 20+len(payload))
	b[0] = 4<<4 | 5 // version, header length in words
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[8] = 64 // TTL
	b[9] = protocol
	source, destination := from.As4(), to.As4()
	copy(b[12:], source[:])
	copy(b[16:], destination[:])
	copy(b[20:], payload)
	binary.BigEndian.PutUint16(b[10:], checksum(b[:20]))
	return b
}

// UDPPacket builds an IPv4 packet with a UDP datagram inside (RFC 768); its
// checksum is left out, as IPv4 allows.
func UDPPacket(from, to netip.AddrPort, data []byte) []byte {
	b := make([]byte, 8+len(data))
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	copy(b[8:], data)
	return IPPacket(from.Addr(), to.Addr(), 17, b)
}

// EchoPacket builds an IPv4 packet with an ICMP echo request or reply inside.
func EchoPacket(from, to netip.Addr, reply bool, id, seq uint16, data []byte) []byte {
	b := make([]byte, 8+len(data))
	if !reply {
		b[0] = 8
	}
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	copy(b[8:], data)
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return IPPacket(from, to, 1, b)
}

// FixChecksum recomputes the header checksum of a packet that was changed.
func FixChecksum(packet []byte) []byte {
	header := min(int(packet[0]&0x0f)*4, len(packet))
	packet[10], packet[11] = 0, 0
	binary.BigEndian.PutUint16(packet[10:], checksum(packet[:header]))
	return packet
}

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
