package route

import "encoding/binary"

// Explicit congestion notification: the two lowest bits of the type of service
// (RFC 3168, section 5).
const (
	ecnMask = 0b11
	ecnNone = 0b00 // the transport does not understand it
	ecnECT1 = 0b01
	ecnECT0 = 0b10
	ecnCE   = 0b11 // congestion experienced
)

func (p packet) tos() byte { return p[1] }

// decapsulateECN brings what the underlay says about congestion into a packet
// that comes out of a datagram with this outer type of service (RFC 6040,
// section 4.2). It reports false for a packet to be dropped: the underlay
// signals congestion, and only a loss tells its sender.
func (p packet) decapsulateECN(outer byte) bool {
	switch inner := p.tos() & ecnMask; {
	case outer&ecnMask == ecnCE && inner == ecnNone:
		return false
	case outer&ecnMask == ecnCE && inner != ecnCE:
		p.setECN(ecnCE)
	case outer&ecnMask == ecnECT1 && inner == ecnECT0:
		p.setECN(ecnECT1)
	}
	return true
}

// setECN changes the two bits and keeps the header checksum right.
func (p packet) setECN(ecn byte) {
	old := binary.BigEndian.Uint16(p) // the version shares a word with it
	p[1] = p[1]&^ecnMask | ecn
	check := updateChecksum(binary.BigEndian.Uint16(p[10:]), old, binary.BigEndian.Uint16(p))
	binary.BigEndian.PutUint16(p[10:], check)
}
