package lab

import (
	"encoding/binary"
	"fmt"
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

// SumUDP puts the UDP checksum into a packet of [UDPPacket].
func SumUDP(packet []byte) []byte {
	datagram := packet[20:]
	datagram[6], datagram[7] = 0, 0
	sum := checksum(append(pseudoHeader(packet, len(datagram)), datagram...))
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(datagram[6:], sum)
	return packet
}

// pseudoHeader is what the checksums of TCP and UDP cover besides their n
// bytes.
func pseudoHeader(packet []byte, n int) []byte {
	return append([]byte{0, packet[9], byte(n >> 8), byte(n)}, packet[12:20]...)
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

// CheckPacket returns what is wrong with an IPv4 packet, if anything is:
// lengths, header checksum, and the checksum of TCP, UDP or ICMP inside. A UDP
// checksum may be left out. The checksum of a fragment cannot be checked.
func CheckPacket(b []byte) error {
	if len(b) < 20 || b[0]>>4 != 4 {
		return fmt.Errorf("%d bytes, not an IPv4 packet", len(b))
	}
	header := int(b[0]&0x0f) * 4
	switch {
	case header < 20 || header > len(b):
		return fmt.Errorf("a header of %d bytes in %d", header, len(b))
	case int(binary.BigEndian.Uint16(b[2:])) != len(b):
		return fmt.Errorf("a total length of %d in %d bytes", binary.BigEndian.Uint16(b[2:]), len(b))
	case checksum(b[:header]) != 0:
		return fmt.Errorf("wrong header checksum")
	case binary.BigEndian.Uint16(b[6:])&0x3fff != 0:
		return nil
	}
	return checkTransport(b[9], pseudoHeader(b, len(b)-header), b[header:])
}

// checkTransport checks the payload of a packet.
func checkTransport(protocol byte, pseudo, b []byte) error {
	switch {
	case protocol == 1 && checksum(b) != 0:
		return fmt.Errorf("wrong ICMP checksum")
	case protocol == 6 && (len(b) < 20 || checksum(append(pseudo, b...)) != 0):
		return fmt.Errorf("wrong TCP checksum")
	case protocol != 17:
		return nil
	case len(b) < 8 || int(binary.BigEndian.Uint16(b[4:])) != len(b):
		return fmt.Errorf("wrong UDP length")
	case binary.BigEndian.Uint16(b[6:]) != 0 && checksum(append(pseudo, b...)) != 0:
		return fmt.Errorf("wrong UDP checksum")
	}
	return nil
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
