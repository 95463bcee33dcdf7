// SPDX-License-Identifier: Apache-2.0

package packet

import "encoding/binary"

// Explicit congestion notification: the two lowest bits of the type of service
// (RFC 3168, section 5).
const (
	ECNMask = 0b11
	ECNNone = 0b00 // the transport does not understand congestion marks
	ECNECT1 = 0b01
	ECNECT0 = 0b10
	ECNCE   = 0b11 // congestion experienced
)

// DecapsulateECN applies the congestion mark of the underlay to a packet that
// comes out of a datagram with this outer type of service (RFC 6040, section
// 4.2). It reports false for a packet that must be dropped: the underlay
// signals congestion, and only a loss can tell the sender.
func (p Packet) DecapsulateECN(outer byte) bool {
	switch inner := p.TOS() & ECNMask; {
	case outer&ECNMask == ECNCE && inner == ECNNone:
		return false
	case outer&ECNMask == ECNCE && inner != ECNCE:
		p.setECN(ECNCE)
	case outer&ECNMask == ECNECT1 && inner == ECNECT0:
		p.setECN(ECNECT1)
	}
	return true
}

// setECN changes the two bits and updates the header checksum.
func (p Packet) setECN(ecn byte) {
	old := binary.BigEndian.Uint16(p) // the version shares a word with it
	p[1] = p[1]&^ECNMask | ecn
	check := updateChecksum(binary.BigEndian.Uint16(p[10:]), old, binary.BigEndian.Uint16(p))
	binary.BigEndian.PutUint16(p[10:], check)
}
