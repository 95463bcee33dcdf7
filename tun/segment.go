// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"encoding/binary"

	"flanneld/internal/packet"
)

// Segmenter cuts a superpacket as a network card would. It writes only headers.
// The payload of each segment is a part of the superpacket's own. The headers
// change from segment to segment: in IP the length, the ID and the checksum; in
// TCP the sequence number, the flags and the checksum; in UDP the length and
// the checksum. CWR is on the first segment only, FIN and PSH on the last.
type Segmenter struct {
	header  []byte // both headers of the superpacket
	payload []byte // what no segment has carried yet
	size    int    // payload of each segment but the last
	layout  packet.Layout

	ip       packet.Series
	sum      packet.Sum // of what the transport headers have in common
	sequence uint32
	flags    byte // of TCP
	later    bool // the next segment is not the first
}

// NewSegmenter begins to cut a superpacket into segments. ok is false if it is
// not one whole TCP or UDP packet over IPv4.
func NewSegmenter(p Packet) (s Segmenter, ok bool) {
	l, ok := packet.LayoutOf(p.Data)
	if !ok || p.SegmentSize <= 0 {
		return s, false
	}
	return newSegmenter(l, p.Data[:l.Headers], p.Data[l.Headers:], p.SegmentSize), true
}

// newSegmenter begins to cut a payload that is to follow a superpacket's
// header.
func newSegmenter(l packet.Layout, header, payload []byte, size int) Segmenter {
	s := Segmenter{header: header, payload: payload, size: size, layout: l}
	ip, transport := header[:l.IP], header[l.IP:]
	s.ip = packet.NewSeries(ip)
	s.sum = packet.PseudoHeader(ip, 0)
	if l.Protocol == packet.UDP {
		s.sum = s.sum.Bytes(transport[:udpLength])
		return s
	}
	s.sequence = binary.BigEndian.Uint32(transport[tcpSequence:])
	s.flags = transport[tcpFlags]
	// Without sequence number, data offset and flags, and checksum.
	s.sum = s.sum.Bytes(transport[:tcpSequence])
	s.sum = s.sum.Bytes(transport[8:12])
	s.sum = s.sum.Bytes(transport[14:tcpChecksum])
	s.sum = s.sum.Bytes(transport[18:])
	return s
}

// HeaderLen is the length of each segment's headers, at most 120 bytes.
func (s *Segmenter) HeaderLen() int { return s.layout.Headers }

// Segments is how many segments are left.
func (s *Segmenter) Segments() int {
	n := (len(s.payload) + s.size - 1) / s.size
	if n == 0 && !s.later {
		return 1
	}
	return n
}

// Next writes the headers of the next segment to memory, which must have room
// for HeaderLen bytes, and returns them with the segment's payload. ok is false
// when none is left. A superpacket without payload is one segment.
func (s *Segmenter) Next(memory []byte) (header, payload []byte, ok bool) {
	if s.later && len(s.payload) == 0 {
		return nil, nil, false
	}
	n := min(s.size, len(s.payload))
	payload, s.payload = s.payload[:n], s.payload[n:]
	return s.next(memory, payload, len(s.payload) == 0), payload, true
}

// next writes the headers of the segment that has this payload.
func (s *Segmenter) next(memory, payload []byte, last bool) (header []byte) {
	header = memory[:s.layout.Headers]
	copy(header, s.header)
	packet.PutSum(header, s.ip.Next(header, len(header)+len(payload)))
	if transport := header[s.layout.IP:]; s.layout.Protocol == packet.UDP {
		s.nextUDP(transport, payload)
	} else {
		s.nextTCP(transport, payload, last)
	}
	s.later = true
	return header
}

func (s *Segmenter) nextTCP(transport, payload []byte, last bool) {
	flags := s.flags
	if s.later {
		flags &^= flagCWR
	}
	if !last {
		flags &^= flagFIN | flagPSH
	}
	binary.BigEndian.PutUint32(transport[tcpSequence:], s.sequence)
	transport[tcpFlags] = flags
	sum := s.sum.Uint16(uint16(len(transport) + len(payload)))
	sum = sum.Uint32(s.sequence)
	sum = sum.Uint16(binary.BigEndian.Uint16(transport[12:]))
	binary.BigEndian.PutUint16(transport[tcpChecksum:], ^sum.Bytes(payload).Fold())
	s.sequence += uint32(len(payload))
}

func (s *Segmenter) nextUDP(transport, payload []byte) {
	length := uint16(packet.UDPHeaderLen + len(payload))
	binary.BigEndian.PutUint16(transport[udpLength:], length)
	sum := s.sum.Uint16(length).Uint16(length) // the pseudo-header has it, too
	c := ^sum.Bytes(payload).Fold()
	if c == 0 {
		c = 0xffff // zero means that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(transport[udpChecksum:], c)
}
