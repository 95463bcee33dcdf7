package route

import "encoding/binary"

const (
	protocolTCP = 6
	protocolUDP = 17
)

// flow is a number that a packet has in common with all of its flow, in both
// directions, for use modulo a power of two up to 65536: it is made of the addresses,
// the protocol and, of TCP and UDP, the ports. Fragments have none of these, but for the first, and go by
// their addresses alone, all of them.
//
// p begins with the whole IP header.
func (p packet) flow() int {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	a, b := binary.LittleEndian.Uint32(p[12:]), binary.LittleEndian.Uint32(p[16:])
	h := (uint64(min(a, b))<<32 | uint64(max(a, b)) ^ uint64(p.protocol())) * golden
	h ^= h >> 32 // a multiplication carries upwards only
	if at := p.headerLen(); p.ported() && len(p) >= at+4 {
		a, b := binary.LittleEndian.Uint16(p[at:]), binary.LittleEndian.Uint16(p[at+2:])
		h ^= uint64(min(a, b))<<16 | uint64(max(a, b))
	}
	return int(h * golden >> 48)
}

// ported reports whether ports follow the IP header.
func (p packet) ported() bool {
	return (p.protocol() == protocolTCP || p.protocol() == protocolUDP) && p.flags()&(flagMF|offsetMask) == 0
}
