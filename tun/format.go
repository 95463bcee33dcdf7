package tun

import "encoding/binary"

// format says where things are in a TCP or UDP packet over IPv4.
type format struct {
	ip       int  // length of the IP header, in bytes
	length   int  // of both headers
	protocol byte // protocolTCP or protocolUDP
}

const (
	protocolTCP = 6
	protocolUDP = 17

	ipHeader  = 20 // without options
	tcpHeader = 20 // without options
	udpHeader = 8

	// maxHeaders is the longest IP and the longest TCP header: 15 words of 4
	// bytes each.
	maxHeaders = 60 + 60

	// maxPacket is the longest IPv4 packet.
	maxPacket = 65535
)

// Offsets in a TCP and in a UDP header.
const (
	tcpSequence = 4
	tcpFlags    = 13
	tcpChecksum = 16
	udpLength   = 4
	udpChecksum = 6
)

// TCP flags (RFC 9293, RFC 3168).
const (
	flagFIN = 0x01
	flagPSH = 0x08
	flagACK = 0x10
	flagECE = 0x40
	flagCWR = 0x80
)

// findFormat looks where the headers of packet end. ok is false unless it is one
// whole IPv4 packet, no fragment, with a complete TCP or UDP header.
func findFormat(packet []byte) (f format, ok bool) {
	if len(packet) < ipHeader || packet[0]>>4 != 4 {
		return f, false
	}
	f.ip, f.protocol = int(packet[0]&0x0f)*4, packet[9]
	const fragment = 0x3fff // more fragments, or an offset
	if f.ip < ipHeader || len(packet) < f.ip || int(binary.BigEndian.Uint16(packet[2:])) != len(packet) ||
		binary.BigEndian.Uint16(packet[6:])&fragment != 0 {
		return f, false
	}
	transport := packet[f.ip:]
	switch f.protocol {
	case protocolTCP:
		if len(transport) < tcpHeader {
			return f, false
		}
		n := int(transport[12]>>4) * 4
		f.length = f.ip + n
		return f, n >= tcpHeader && n <= len(transport)
	case protocolUDP:
		f.length = f.ip + udpHeader
		return f, len(transport) >= udpHeader
	}
	return f, false
}
