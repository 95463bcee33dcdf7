// SPDX-License-Identifier: Apache-2.0

package packet

import "encoding/binary"

// golden is 2^64 divided by the golden ratio.
const golden = 0x9e3779b97f4a7c15

// Flow is a number that all packets of a flow have in common, in both
// directions, for use modulo a power of two up to 65536. It is made of the
// addresses, the protocol and, with TCP and UDP, the ports. Only the first
// fragment of a packet has ports, so fragments go by their addresses alone.
//
// p may end behind the IP header.
func (p Packet) Flow() int {
	a, b := binary.LittleEndian.Uint32(p[12:]), binary.LittleEndian.Uint32(p[16:])
	h := (uint64(min(a, b))<<32 | uint64(max(a, b)) ^ uint64(p.Protocol())) * golden
	h ^= h >> 32 // a multiplication carries upwards only
	if at := p.HeaderLen(); p.ported() && len(p) >= at+4 {
		a, b := binary.LittleEndian.Uint16(p[at:]), binary.LittleEndian.Uint16(p[at+2:])
		h ^= uint64(min(a, b))<<16 | uint64(max(a, b))
	}
	return int(h * golden >> 48)
}

// ported reports whether ports follow the IP header.
func (p Packet) ported() bool {
	return (p.Protocol() == TCP || p.Protocol() == UDP) && !p.Fragment()
}

// Hash is a number that all packets of a flow in one direction have in common,
// of 24 bits. p is the packet that has this layout.
func (l Layout) Hash(p []byte) uint64 {
	h := (binary.LittleEndian.Uint64(p[12:]) ^ uint64(l.Protocol)) * golden
	h ^= h >> 32 // a multiplication carries upwards only
	h ^= uint64(binary.LittleEndian.Uint32(p[l.IP:]))
	return h * golden >> 40
}

// SameFlow compares the addresses, protocols and ports of p, which has layout
// l, and q, which has layout m.
func (l Layout) SameFlow(p []byte, m Layout, q []byte) bool {
	return l.Protocol == m.Protocol &&
		binary.LittleEndian.Uint64(p[12:]) == binary.LittleEndian.Uint64(q[12:]) &&
		binary.LittleEndian.Uint32(p[l.IP:]) == binary.LittleEndian.Uint32(q[m.IP:])
}
