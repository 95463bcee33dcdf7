package route

import "encoding/binary"

const (
	protocolTCP = 6
	protocolUDP = 17
)

// flow is a number that a packet has in common with all of its flow, for use
// modulo a power of two: it is made of the addresses, the protocol and, of TCP
// and UDP, the ports. Fragments have none of these, but for the first, and go by
// their addresses alone, all of them.
//
// p begins with the whole IP header.
func (p packet) flow() int {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	h := (binary.LittleEndian.Uint64(p[12:]) ^ uint64(p.protocol())) * golden
	h ^= h >> 32 // a multiplication carries upwards only
	if at := p.headerLen(); p.ported() && len(p) >= at+4 {
		h ^= uint64(binary.LittleEndian.Uint32(p[at:]))
	}
	return int(h * golden >> 48)
}

// ported reports whether ports follow the IP header.
func (p packet) ported() bool {
	return (p.protocol() == protocolTCP || p.protocol() == protocolUDP) && p.flags()&(flagMF|offsetMask) == 0
}
