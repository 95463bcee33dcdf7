// SPDX-License-Identifier: Apache-2.0

package packet

import "encoding/binary"

// ICMPHeaderLen is the length of the header of an ICMP message, in bytes.
const ICMPHeaderLen = 8

// Types of ICMP messages (RFC 792).
const (
	ICMPEchoReply    = 0
	ICMPUnreachable  = 3
	ICMPEcho         = 8
	ICMPTimeExceeded = 11
)

// ICMPError reports whether the packet is an ICMP message that asks for no
// answer. Types that are not assigned count as errors, as in Linux.
func (p Packet) ICMPError() bool {
	if p.Protocol() != ICMP {
		return false
	}
	payload := p.Payload()
	if len(payload) == 0 {
		return true
	}
	switch payload[0] {
	case ICMPEchoReply, ICMPEcho,
		9, 10, // router discovery
		13, 14, 15, 16, 17, 18: // timestamp, information, address mask
		return false
	}
	return true
}

// SetICMPChecksum computes the checksum of an ICMP message.
func SetICMPChecksum(message []byte) {
	binary.BigEndian.PutUint16(message[2:], 0)
	binary.BigEndian.PutUint16(message[2:], Checksum(message))
}
