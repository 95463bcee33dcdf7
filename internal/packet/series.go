// SPDX-License-Identifier: Apache-2.0

package packet

import "encoding/binary"

// Series writes the IP headers of packets that follow each other in a flow, as
// a network card does when it cuts a superpacket: they differ in length and
// identification. Make one with NewSeries.
type Series struct {
	sum Sum // of what the headers have in common
	id  uint16
}

// NewSeries begins a series with this IP header.
func NewSeries(header []byte) Series {
	// Without length, identification and checksum.
	sum := Sum(binary.LittleEndian.Uint16(header)).Bytes(header[12:])
	return Series{
		sum: sum.Plus(Sum(binary.LittleEndian.Uint32(header[6:]))),
		id:  binary.BigEndian.Uint16(header[4:]),
	}
}

// Next makes header, a copy of the first one, that of the next packet, which is
// length bytes long in all. The checksum is left to PutSum with the result: the
// compiler inlines two short functions, and a call for each segment costs 2 %.
func (s *Series) Next(header []byte, length int) Sum {
	changed := uint32(length)<<16 | uint32(s.id)
	binary.BigEndian.PutUint32(header[2:], changed)
	s.id++
	return s.sum.Uint32(changed)
}

// PutSum writes the checksum of an IP header, given the sum of its other words.
func PutSum(header []byte, sum Sum) { binary.BigEndian.PutUint16(header[10:], ^sum.Fold()) }

// Continues reports whether p can be packet n, counted from 0, of a series that
// began with first: the types of service, DF and the times to live are equal,
// and the identifications continue or do not matter.
func Continues(first, p []byte, n int) bool {
	const df = FlagDF >> 8
	return p[1] == first[1] && p[6] == first[6] && p[8] == first[8] &&
		(p[6]&df != 0 || binary.BigEndian.Uint16(p[4:]) == binary.BigEndian.Uint16(first[4:])+uint16(n))
}

// SetLength makes the packet that begins with this IP header length bytes long.
func SetLength(header []byte, length int) {
	binary.BigEndian.PutUint16(header[2:], uint16(length))
	Packet(header).SetChecksum()
}
