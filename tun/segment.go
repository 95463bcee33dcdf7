package tun

import "encoding/binary"

// Segmenter cuts a superpacket as a network card would. Only headers are
// written; the payload of each segment is a part of the superpacket's own. What
// changes from segment to segment: of IP the length, the ID and the checksum, of
// TCP the sequence number, the flags (CWR on the first, FIN and PSH on the last
// segment only) and the checksum, of UDP the length and the checksum.
type Segmenter struct {
	header  []byte // both headers of the superpacket
	payload []byte // what no segment has carried yet
	size    int    // payload of each segment but the last
	format  format

	// The parts of the checksums that all segments have in common.
	ipSum        uint64
	transportSum uint64

	id       uint16
	sequence uint32
	flags    byte // of TCP
	later    bool // the next segment is not the first
}

// NewSegmenter begins to cut a superpacket into segments. ok is false if it is
// none: not one whole TCP or UDP packet over IPv4.
func NewSegmenter(p Packet) (s Segmenter, ok bool) {
	f, ok := findFormat(p.Data)
	if !ok || p.SegmentSize <= 0 {
		return s, false
	}
	return newSegmenter(f, p.Data[:f.length], p.Data[f.length:], p.SegmentSize), true
}

// newSegmenter begins to cut a payload that is to follow a superpacket's header.
func newSegmenter(f format, header, payload []byte, size int) Segmenter {
	s := Segmenter{header: header, payload: payload, size: size, format: f}
	ip, transport := header[:f.ip], header[f.ip:]
	s.id = binary.BigEndian.Uint16(ip[4:])
	// Without length, ID and checksum.
	s.ipSum = sum(ip[12:], uint64(binary.LittleEndian.Uint16(ip)))
	s.ipSum = addSum(s.ipSum, uint64(binary.LittleEndian.Uint32(ip[6:])))
	s.transportSum = pseudo(ip, 0)
	if f.protocol == protocolUDP {
		s.transportSum = sum(transport[:udpLength], s.transportSum)
		return s
	}
	s.sequence = binary.BigEndian.Uint32(transport[tcpSequence:])
	s.flags = transport[tcpFlags]
	// Without sequence number, data offset and flags, and checksum.
	s.transportSum = sum(transport[:tcpSequence], s.transportSum)
	s.transportSum = sum(transport[8:12], s.transportSum)
	s.transportSum = sum(transport[14:tcpChecksum], s.transportSum)
	s.transportSum = sum(transport[18:], s.transportSum)
	return s
}

// HeaderLen is the length of each segment's headers, at most 120 bytes.
func (s *Segmenter) HeaderLen() int { return s.format.length }

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
	header = memory[:s.format.length]
	copy(header, s.header)
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+len(payload)))
	binary.BigEndian.PutUint16(header[4:], s.id)
	ipSum := addSum(s.ipSum, uint64(binary.LittleEndian.Uint32(header[2:]))) // both of these
	binary.BigEndian.PutUint16(header[10:], ^fold(ipSum))
	if transport := header[s.format.ip:]; s.format.protocol == protocolUDP {
		s.nextUDP(transport, payload)
	} else {
		s.nextTCP(transport, payload, last)
	}
	s.id++
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
	total := add(s.transportSum, uint16(len(transport)+len(payload)))
	total = add32(total, s.sequence)
	total = add(total, binary.BigEndian.Uint16(transport[12:]))
	binary.BigEndian.PutUint16(transport[tcpChecksum:], ^fold(sum(payload, total)))
	s.sequence += uint32(len(payload))
}

func (s *Segmenter) nextUDP(transport, payload []byte) {
	length := uint16(udpHeader + len(payload))
	binary.BigEndian.PutUint16(transport[udpLength:], length)
	total := add(add(s.transportSum, length), length) // in the pseudo-header, too
	c := ^fold(sum(payload, total))
	if c == 0 {
		c = 0xffff // zero means that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(transport[udpChecksum:], c)
}
