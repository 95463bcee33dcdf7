// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// pattern is n bytes, few like their neighbors.
func pattern(n, seed int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((i+seed)*7 + i>>8)
	}
	return b
}

// slowValid verifies both checksums of a packet, a UDP checksum of zero, too.
func slowValid(p []byte) bool {
	ip, transport := p[:int(p[0]&15)*4], p[int(p[0]&15)*4:]
	head := []byte{0, p[9], byte(len(transport) >> 8), byte(len(transport))}
	return packettest.SlowSum(ip, 0) == 0xffff && packettest.SlowSum(transport, packettest.SlowSum(head, packettest.SlowSum(p[12:20], 0))) == 0xffff
}

// packetSpec describes a packet of a test. Zero fields get sensible values.
type packetSpec struct {
	udp        bool
	src, port  byte // tell flows apart
	id         uint16
	tos, ttl   byte
	fragment   uint16 // flags and offset; DF if zero, neither if 0xffff
	sequence   uint32
	ack        uint32
	flags      byte // ACK
	window     uint16
	urgent     uint16
	tcpOptions []byte // a multiple of 4
	ipOptions  []byte // a multiple of 4
	payload    []byte
}

// build makes the packet, with correct checksums.
func (s packetSpec) build() []byte {
	ip := make([]byte, 20, 200+len(s.payload))
	ip[1], ip[8], ip[9] = s.tos, s.ttl, packet.TCP
	if s.ttl == 0 {
		ip[8] = 64
	}
	ip = append(ip, s.ipOptions...)
	ip[0] = 4<<4 | byte(len(ip)/4)
	binary.BigEndian.PutUint16(ip[4:], s.id)
	switch s.fragment {
	case 0:
		ip[6] = 0x40
	case 0xffff:
	default:
		binary.BigEndian.PutUint16(ip[6:], s.fragment)
	}
	copy(ip[12:], []byte{10, 244, 1, s.src, 10, 244, 2, 5})
	transport := make([]byte, 8, 60)
	binary.BigEndian.PutUint16(transport, 1000+uint16(s.port))
	binary.BigEndian.PutUint16(transport[2:], 80)
	if s.udp {
		ip[9] = packet.UDP
		binary.BigEndian.PutUint16(transport[4:], uint16(8+len(s.payload)))
	} else {
		transport = append(transport[:20], s.tcpOptions...)
		binary.BigEndian.PutUint32(transport[4:], s.sequence)
		binary.BigEndian.PutUint32(transport[8:], s.ack)
		transport[12], transport[13] = byte(len(transport)/4)<<4, s.flags
		if s.flags == 0 {
			transport[13] = flagACK
		}
		binary.BigEndian.PutUint16(transport[14:], s.window)
		binary.BigEndian.PutUint16(transport[18:], s.urgent)
	}
	p := slices.Concat(ip, transport, s.payload)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	repairChecksums(p)
	return p
}

// repairChecksums computes both checksums of a packet.
func repairChecksums(p []byte) {
	hl := int(p[0]&15) * 4
	binary.BigEndian.PutUint16(p[10:], 0)
	binary.BigEndian.PutUint16(p[10:], ^packettest.SlowSum(p[:hl], 0))
	at := hl + tcpChecksum
	if p[9] == packet.UDP {
		at = hl + udpChecksum
	}
	length := len(p) - hl
	head := []byte{0, p[9], byte(length >> 8), byte(length)}
	binary.BigEndian.PutUint16(p[at:], 0)
	c := ^packettest.SlowSum(p[hl:], packettest.SlowSum(head, packettest.SlowSum(p[12:20], 0)))
	if c == 0 && p[9] == packet.UDP {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(p[at:], c)
}

// slowSegments cuts a superpacket byte by byte, according to RFC 791, 768 and
// 9293.
func slowSegments(p []byte, size int) (segments [][]byte) {
	hl := int(p[0]&15) * 4
	headers := hl + 8
	if p[9] == packet.TCP {
		headers = hl + int(p[hl+12]>>4)*4
	}
	payload := p[headers:]
	for at := 0; at == 0 || at < len(payload); at += size {
		part := payload[at:min(at+size, len(payload))]
		s := append(slices.Clone(p[:headers]), part...)
		binary.BigEndian.PutUint16(s[2:], uint16(len(s)))
		binary.BigEndian.PutUint16(s[4:], binary.BigEndian.Uint16(p[4:])+uint16(at/size))
		if p[9] == packet.UDP {
			binary.BigEndian.PutUint16(s[hl+4:], uint16(8+len(part)))
		} else {
			binary.BigEndian.PutUint32(s[hl+4:], binary.BigEndian.Uint32(p[hl+4:])+uint32(at))
			if at > 0 {
				s[hl+13] &^= flagCWR
			}
			if at+size < len(payload) {
				s[hl+13] &^= flagFIN | flagPSH
			}
		}
		repairChecksums(s)
		segments = append(segments, s)
	}
	return segments
}

// cut collects the output of a Segmenter.
func cut(s Segmenter) (segments [][]byte) {
	for {
		header, payload, ok := s.Next(make([]byte, packet.MaxHeadersLen))
		if !ok {
			return segments
		}
		segments = append(segments, slices.Concat(header, payload))
	}
}

func drawSpec(t *rapid.T) packetSpec {
	return packetSpec{
		udp:        rapid.Bool().Draw(t, "udp"),
		id:         rapid.Uint16().Draw(t, "id"),
		tos:        rapid.Byte().Draw(t, "tos"),
		fragment:   rapid.SampledFrom([]uint16{0, 0xffff}).Draw(t, "DF"),
		sequence:   rapid.Uint32().Draw(t, "sequence"),
		ack:        rapid.Uint32().Draw(t, "ack"),
		flags:      rapid.Byte().Draw(t, "flags"),
		window:     rapid.Uint16().Draw(t, "window"),
		urgent:     rapid.Uint16().Draw(t, "urgent"),
		tcpOptions: pattern(4*rapid.IntRange(0, 10).Draw(t, "TCP options"), 1),
		ipOptions:  pattern(4*rapid.IntRange(0, 10).Draw(t, "IP options"), 2),
	}
}

func TestSegmentsAreThoseOfTheRFCs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		spec.payload = pattern(rapid.IntRange(0, 20000).Draw(t, "payload"), 3)
		size := rapid.IntRange(1, 9000).Draw(t, "segment size")
		p := spec.build()
		want := slowSegments(p, size)
		s, ok := NewSegmenter(Packet{Data: p, SegmentSize: size})
		if !ok || s.Segments() != len(want) {
			t.Fatalf("%d segments (%v), want %d", s.Segments(), ok, len(want))
		}
		got := cut(s)
		if len(got) != len(want) {
			t.Fatalf("%d segments, want %d", len(got), len(want))
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("segment %d is\n%x, want\n%x", i, got[i], want[i])
			}
		}
	})
}

func TestWhatIsNoSuperpacketIsNotCut(t *testing.T) {
	good := packetSpec{payload: pattern(3000, 0)}.build()
	change := func(at int, v byte) []byte { p := slices.Clone(good); p[at] = v; return p }
	for name, p := range map[string]Packet{
		"no segment size": {Data: good},
		"empty":           {SegmentSize: 1000},
		"IPv6":            {Data: change(0, 0x65), SegmentSize: 1000},
		"short IP header": {Data: change(0, 0x44), SegmentSize: 1000},
		"a fragment":      {Data: change(7, 1), SegmentSize: 1000},
		"more fragments":  {Data: change(6, 0x20), SegmentSize: 1000},
		"ICMP":            {Data: change(9, 1), SegmentSize: 1000},
		"cut":             {Data: good[:2000], SegmentSize: 1000},
		"short TCP":       {Data: change(32, 0x40), SegmentSize: 1000},
	} {
		if _, ok := NewSegmenter(p); ok {
			t.Errorf("%s: cut", name)
		}
	}
}

func TestChecksumsThatWereLeftOutAreComputed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		spec.payload = rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "payload")
		want := spec.build()
		p := slices.Clone(want)
		l, _ := packet.LayoutOf(p)
		h := virtioHeader{flags: virtioNeedsChecksum, checksumStart: uint16(l.IP), checksumOffset: tcpChecksum}
		if spec.udp {
			h.checksumOffset = udpChecksum
		}
		binary.BigEndian.PutUint16(p[l.IP+int(h.checksumOffset):], packet.PseudoHeader(p, len(p)-l.IP).Fold())
		b := NewBatch(1, packet.MaxLen, 0)
		frame := b.frame()
		h.put(frame)
		b.addFrame(virtioLen + copy(frame[virtioLen:], p))
		got := b.Packets[0]
		if got.SegmentSize != 0 || !slowValid(got.Data) {
			t.Fatalf("%x is not valid, want\n%x", got.Data, want)
		}
	})
}

func TestVirtioHeaderThatLies(t *testing.T) {
	good := packetSpec{payload: pattern(3000, 0)}.build()
	read := func(h virtioHeader, p []byte) Packet {
		b := NewBatch(1, packet.MaxLen, 0)
		frame := b.frame()
		h.put(frame)
		b.addFrame(virtioLen + copy(frame[virtioLen:], p))
		return b.Packets[0]
	}
	for name, h := range map[string]virtioHeader{
		"no segment size": {kind: virtioTCP4},
		"UDP":             {kind: virtioUDP, segmentSize: 1000},
		"IPv6":            {kind: 4, segmentSize: 1000},
		"unknown":         {kind: 77, segmentSize: 1000},
	} {
		if p := read(h, good); len(p.Data) != 0 || p.SegmentSize != 0 {
			t.Errorf("%s: a packet of %d bytes", name, len(p.Data))
		}
	}
	for _, h := range []virtioHeader{
		{flags: virtioNeedsChecksum, checksumStart: 65535, checksumOffset: 65535},
		{flags: virtioNeedsChecksum, checksumStart: 20, checksumOffset: uint16(len(good))},
	} {
		if p := read(h, good); !bytes.Equal(p.Data, good) {
			t.Errorf("%+v changed the packet", h)
		}
	}
	if p := read(virtioHeader{kind: virtioTCP4 | virtioECN, segmentSize: 1448}, good); p.SegmentSize != 1448 {
		t.Errorf("with ECN: %+v", p.SegmentSize)
	}
}

func FuzzFrame(f *testing.F) {
	h := virtioHeader{flags: 1, kind: virtioTCP4, headerLen: 40, segmentSize: 100, checksumStart: 20, checksumOffset: 16}
	frame := func(h virtioHeader, p []byte) []byte {
		b := make([]byte, virtioLen)
		h.put(b)
		return append(b, p...)
	}
	f.Add(frame(h, packetSpec{payload: pattern(300, 0)}.build()))
	h.kind, h.checksumOffset = virtioUDP, udpChecksum
	f.Add(frame(h, packetSpec{udp: true, payload: pattern(300, 0)}.build()))
	f.Add(frame(virtioHeader{}, []byte{0x45}))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := NewBatch(1, packet.MaxLen, 0)
		b.addFrame(copy(b.frame(), data))
		p := b.Packets[0]
		if p.SegmentSize == 0 {
			return
		}
		s, ok := NewSegmenter(p)
		if !ok {
			t.Fatal("a superpacket that cannot be cut")
		}
		want := s.Segments()
		segments := cut(s)
		if len(segments) != want {
			t.Errorf("%d segments, announced were %d", len(segments), want)
		}
		for i, segment := range segments {
			if !slowValid(segment) || len(segment) > s.HeaderLen()+p.SegmentSize {
				t.Errorf("segment %d of %d bytes, valid %v", i, len(segment), slowValid(segment))
			}
		}
	})
}

func BenchmarkSegment(b *testing.B) {
	p := packetSpec{tcpOptions: pattern(12, 0), payload: pattern(45*1420, 0)}.build()
	memory := make([]byte, packet.MaxHeadersLen)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		s, _ := NewSegmenter(Packet{Data: p, SegmentSize: 1420})
		for {
			if _, _, ok := s.Next(memory); !ok {
				break
			}
		}
	}
}
