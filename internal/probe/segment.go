// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"

	"flanneld/internal/packet"
)

const (
	tcpHeaders = packet.HeaderLen + packet.TCPHeaderLen

	// closedPort is where no program listens: discard (RFC 863). One that does
	// answers a lone acknowledgement in the same way.
	closedPort = 9

	flagReset, flagPush, flagAcknowledge = 0x04, 0x08, 0x10
)

// acknowledges is the number that a segment acknowledges. A kernel without
// such a connection answers with a reset that has this number as its sequence
// number (RFC 9293, section 3.10.7.1).
func (t token) acknowledges(sequence uint16) uint32 {
	return uint32(binary.BigEndian.Uint16(t.cookie[:]))<<16 | uint32(sequence)
}

// port is the source port of a segment. Each has another one, so that the
// peer's connection tracking never sees two that do not fit together.
func (t token) port(sequence uint16) uint16 { return 0x8000 | sequence ^ t.id }

// segment writes a probe of checksums: an acknowledgement with a payload of
// zeros, for a connection that the peer does not have. Its memory is new.
func (t token) segment(r request) []byte {
	b := make([]byte, max(r.size, tcpHeaders))
	p := packet.Header{
		TTL: r.ttl, Protocol: packet.TCP, DontFragment: true, Source: r.source, Destination: r.destination,
	}.Put(b)
	tcp := p.Payload()
	binary.BigEndian.PutUint16(tcp, t.port(r.sequence))
	binary.BigEndian.PutUint16(tcp[2:], closedPort)
	binary.BigEndian.PutUint32(tcp[8:], t.acknowledges(r.sequence))
	const window = 1024
	tcp[12], tcp[13] = packet.TCPHeaderLen/4<<4, flagAcknowledge|flagPush
	binary.BigEndian.PutUint16(tcp[14:], window)
	sum := packet.PseudoHeader(p, len(tcp))
	check := sum.Fold()
	if !r.offload.Checksum {
		check = ^sum.Bytes(tcp).Fold()
	}
	binary.BigEndian.PutUint16(tcp[16:], check)
	return b
}

// parseReset is parse for a TCP segment.
func (t token) parseReset(p packet.Packet) (reply, bool) {
	tcp := p.Payload()
	if p.Fragment() || len(tcp) < packet.TCPHeaderLen || tcp[13]&flagReset == 0 {
		return reply{}, false
	}
	number := binary.BigEndian.Uint32(tcp[4:])
	sequence := uint16(number)
	if number != t.acknowledges(sequence) || binary.BigEndian.Uint16(tcp) != closedPort || binary.BigEndian.Uint16(tcp[2:]) != t.port(sequence) {
		return reply{}, false
	}
	return reply{from: p.Source(), sequence: sequence, tcp: true, stamped: true, size: len(p)}, true
}
