// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
)

// collector is a Sink that keeps the packets of all runs, as the kernel would
// see them, and how many writes they took.
type collector struct {
	packets [][]byte
	runs    []int // packets of each
	broken  string
}

func (c *collector) WriteRun(r *Run) {
	c.runs = append(c.runs, r.Packets)
	whole := slices.Concat(r.Buffers...)
	if r.SegmentSize == 0 {
		if r.Packets != 1 || r.Bytes != len(whole) {
			c.broken = fmt.Sprintf("a packet of %d bytes as a run of %d, %d bytes", len(whole), r.Packets, r.Bytes)
		}
		c.packets = append(c.packets, whole)
		return
	}
	s, ok := NewSegmenter(Packet{Data: whole, SegmentSize: r.SegmentSize})
	segments := cut(s)
	bytes := 0
	for _, p := range segments {
		bytes += len(p)
	}
	if !ok || len(segments) != r.Packets || bytes != r.Bytes {
		c.broken = fmt.Sprintf("%d segments of %d bytes; announced were %d of %d", len(segments), bytes, r.Packets, r.Bytes)
	}
	header := superpacketHeader(r.layout, r.SegmentSize)
	at := int(header.checksumStart + header.checksumOffset)
	if got, want := whole[at:at+2], packet.PseudoHeader(whole, len(whole)-20).Fold(); got[0] != byte(want>>8) || got[1] != byte(want) {
		c.broken = fmt.Sprintf("checksum %x, want that of the pseudo-header, %x", got, want)
	}
	c.packets = append(c.packets, segments...)
}

// coalesce gives packets to a new Coalescer.
func coalesce(o Offloads, packets ...[]byte) *collector {
	out := new(collector)
	c := NewCoalescer(out)
	c.Use(o)
	for _, p := range packets {
		c.Add(slices.Clone(p))
	}
	c.Flush()
	return out
}

var everything = Offloads{Checksum: true, TCP: true, UDP: true}

// Segment, then coalesce: the same packets, in as many writes as there were
// superpackets.
func TestSegmentsComeTogetherAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := packetSpec{
			udp: rapid.Bool().Draw(t, "udp"), id: rapid.Uint16().Draw(t, "id"), tos: rapid.Byte().Draw(t, "tos"),
			fragment: rapid.SampledFrom([]uint16{0, 0xffff}).Draw(t, "DF"),
			sequence: rapid.Uint32().Draw(t, "sequence"), ack: rapid.Uint32().Draw(t, "ack"), window: rapid.Uint16().Draw(t, "window"),
			flags:      rapid.SampledFrom([]byte{flagACK, flagACK | flagPSH, flagACK | flagECE}).Draw(t, "flags"),
			tcpOptions: pattern(4*rapid.IntRange(0, 10).Draw(t, "options"), 0),
		}
		size := rapid.IntRange(1, 9000).Draw(t, "segment size")
		spec.payload = pattern(rapid.IntRange(1, min(60000, maxRun*size)).Draw(t, "payload"), 1)
		want := slowSegments(spec.build(), size)
		got := coalesce(everything, want...)
		if got.broken != "" {
			t.Fatal(got.broken)
		}
		writes := 1
		if !spec.udp && size < 8 { // which no kernel takes for superpackets
			writes = len(want)
		}
		if len(got.runs) != writes {
			t.Errorf("%d writes for %d segments, want %d", len(got.runs), len(want), writes)
		}
		if !slices.EqualFunc(got.packets, want, bytes.Equal) {
			t.Fatalf("got %d packets, want %d, the same", len(got.packets), len(want))
		}
	})
}

// Whatever the packets are, the same ones come out, and those of a flow in
// their order, except for pure acknowledgments.
func TestCoalescingLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var packets [][]byte
		next := map[byte]*packetSpec{}
		for range rapid.IntRange(1, 200).Draw(t, "packets") {
			flow := byte(rapid.IntRange(0, 40).Draw(t, "flow"))
			s := next[flow]
			if s == nil {
				s = &packetSpec{udp: flow%2 == 0, src: flow % 5, port: flow, id: uint16(flow), window: 100}
				next[flow] = s
			}
			s.payload = pattern(rapid.SampledFrom([]int{0, 1, 100, 100, 100, 100, 99}).Draw(t, "payload"), int(flow))
			one := *s
			switch rapid.IntRange(0, 12).Draw(t, "oddity") {
			case 0:
				one.flags = rapid.Byte().Draw(t, "flags")
			case 1:
				one.tos = 4
			case 2:
				one.fragment = rapid.SampledFrom([]uint16{0x2000, 10, 0xffff}).Draw(t, "fragment")
			case 3:
				one.ipOptions = []byte{1, 1, 1, 0}
			case 4:
				one.sequence++
			case 5:
				one.window, one.ttl = 5, 9
			}
			p := one.build()
			if rapid.IntRange(0, 9).Draw(t, "corrupt") == 0 && len(p) > 45 {
				p[len(p)-1] ^= 1
			}
			packets = append(packets, p)
			s.id++
			s.sequence += uint32(len(s.payload))
		}
		got := coalesce(everything, packets...)
		if got.broken != "" {
			t.Fatal(got.broken)
		}
		if !slices.EqualFunc(inFlows(got.packets), inFlows(packets), sameButID) {
			t.Fatalf("%d packets came out, other than the %d that went in", len(got.packets), len(packets))
		}
	})
}

// inFlows sorts packets by flow, and keeps the order within one; pure
// acknowledgments come first.
func inFlows(packets [][]byte) [][]byte {
	key := func(p []byte) []byte {
		l, ok := packet.LayoutOf(p)
		if !ok {
			return nil // fragments: order is kept among them
		}
		class := byte(1)
		if l.Protocol == packet.TCP && len(p) == l.Headers && p[l.IP+tcpFlags] == flagACK {
			class = 0
		}
		return append(slices.Clone(p[12:20]), p[9], p[l.IP], p[l.IP+1], class)
	}
	sorted := slices.Clone(packets)
	slices.SortStableFunc(sorted, func(a, b []byte) int { return bytes.Compare(key(a), key(b)) })
	return sorted
}

// sameButID compares packets. The ID of one that must not be fragmented has no
// meaning (RFC 6864), and may change.
func sameButID(a, b []byte) bool {
	if len(a) != len(b) || a[6]&0x40 == 0 {
		return bytes.Equal(a, b)
	}
	return bytes.Equal(a[:4], b[:4]) && bytes.Equal(a[6:10], b[6:10]) && bytes.Equal(a[12:], b[12:])
}

func TestWhatMustNotMergeDoesNot(t *testing.T) {
	base := packetSpec{id: 1, sequence: 1000, ack: 7, window: 50, tcpOptions: []byte{1, 1, 1, 1}, payload: pattern(100, 0)}
	follow := base
	follow.id, follow.sequence = 2, 1100
	with := func(change func(*packetSpec)) []byte { s := follow; change(&s); return s.build() }
	udp := packetSpec{udp: true, id: 1, payload: pattern(100, 0)}
	udpWith := func(change func(*packetSpec)) []byte { s := udp; s.id = 2; change(&s); return s.build() }
	port := func(p []byte, n uint16) []byte { p[22], p[23] = byte(n>>8), byte(n); repairChecksums(p); return p }
	corrupt := func(p []byte) []byte { p[len(p)-1] ^= 0x10; return p }
	unchecked := func(p []byte) []byte { p[26], p[27] = 0, 0; return p }
	noDF := base
	noDF.fragment = 0xffff
	for name, pair := range map[string][2][]byte{
		"another flow":            {base.build(), with(func(s *packetSpec) { s.port = 1 })},
		"another source":          {base.build(), with(func(s *packetSpec) { s.src = 1 })},
		"a gap":                   {base.build(), with(func(s *packetSpec) { s.sequence++ })},
		"a repetition":            {base.build(), base.build()},
		"type of service":         {base.build(), with(func(s *packetSpec) { s.tos = 1 })},
		"time to live":            {base.build(), with(func(s *packetSpec) { s.ttl = 63 })},
		"DF":                      {base.build(), with(func(s *packetSpec) { s.fragment = 0xffff })},
		"a fragment":              {base.build(), with(func(s *packetSpec) { s.fragment = 0x2000 })},
		"IP options":              {base.build(), with(func(s *packetSpec) { s.ipOptions = []byte{1, 1, 1, 0} })},
		"acknowledgment":          {base.build(), with(func(s *packetSpec) { s.ack++ })},
		"window":                  {base.build(), with(func(s *packetSpec) { s.window++ })},
		"urgent pointer":          {base.build(), with(func(s *packetSpec) { s.urgent = 1 })},
		"options":                 {base.build(), with(func(s *packetSpec) { s.tcpOptions = []byte{1, 1, 1, 0} })},
		"more options":            {base.build(), with(func(s *packetSpec) { s.tcpOptions = []byte{1, 1, 1, 1, 1, 1, 1, 1} })},
		"FIN":                     {base.build(), with(func(s *packetSpec) { s.flags = flagACK | flagFIN })},
		"SYN":                     {base.build(), with(func(s *packetSpec) { s.flags = flagACK | 2 })},
		"RST":                     {base.build(), with(func(s *packetSpec) { s.flags = flagACK | 4 })},
		"URG":                     {base.build(), with(func(s *packetSpec) { s.flags = flagACK | 0x20 })},
		"CWR":                     {base.build(), with(func(s *packetSpec) { s.flags = flagACK | flagCWR })},
		"ECE":                     {base.build(), with(func(s *packetSpec) { s.flags = flagACK | flagECE })},
		"longer":                  {base.build(), with(func(s *packetSpec) { s.payload = pattern(101, 0) })},
		"behind PSH":              {packetSpec{id: 1, sequence: 1000, ack: 7, window: 50, flags: flagACK | flagPSH, tcpOptions: []byte{1, 1, 1, 1}, payload: pattern(100, 0)}.build(), follow.build()},
		"ID without DF":           {noDF.build(), with(func(s *packetSpec) { s.fragment, s.id = 0xffff, 3 })},
		"corrupt":                 {base.build(), corrupt(follow.build())},
		"behind a corrupt one":    {corrupt(base.build()), follow.build()},
		"UDP length":              {udp.build(), udpWith(func(s *packetSpec) { s.payload = pattern(101, 0) })},
		"UDP without a checksum":  {unchecked(udp.build()), unchecked(udpWith(func(*packetSpec) {}))},
		"UDP without payload":     {udp.build(), udpWith(func(s *packetSpec) { s.payload = nil })},
		"UDP corrupt":             {udp.build(), corrupt(udpWith(func(*packetSpec) {}))},
		"VXLAN":                   {port(udp.build(), 4789), port(udpWith(func(*packetSpec) {}), 4789)},
		"Geneve":                  {port(udp.build(), 6081), port(udpWith(func(*packetSpec) {}), 6081)},
		"UDP ID without DF":       {udpWith(func(s *packetSpec) { s.fragment = 0xffff }), udpWith(func(s *packetSpec) { s.fragment = 0xffff })},
		"UDP and TCP of one port": {base.build(), udpWith(func(*packetSpec) {})},
	} {
		got := coalesce(everything, pair[0], pair[1])
		if len(got.runs) != 2 || !bytes.Equal(got.packets[0], pair[0]) || !bytes.Equal(got.packets[1], pair[1]) {
			t.Errorf("%s: runs of %v packets; want each as it came, in order", name, got.runs)
		}
	}
	if got := coalesce(everything, base.build(), follow.build()); len(got.runs) != 1 {
		t.Error("what may merge did not")
	}
}

func TestAShorterPacketEndsARun(t *testing.T) {
	for _, udp := range []bool{false, true} {
		var packets [][]byte
		sequence := uint32(0)
		for i, n := range []int{100, 100, 50, 50, 100} {
			packets = append(packets, packetSpec{udp: udp, id: uint16(i), sequence: sequence, payload: pattern(n, i)}.build())
			sequence += uint32(n)
		}
		if got := coalesce(everything, packets...); !slices.Equal(got.runs, []int{3, 1, 1}) {
			t.Errorf("UDP %v: runs of %v packets, want 3, 1, 1", udp, got.runs)
		}
	}
}

// The last segment of a run may be arbitrarily short, the others may not.
func TestTinySegmentsOfTCPStaySingle(t *testing.T) {
	for _, test := range []struct {
		size, total, writes int
		udp                 bool
	}{
		{1, 40, 40, false},
		{7, 70, 10, false},
		{7, 71, 11, false},
		{8, 80, 1, false},
		{8, 81, 1, false},
		{1, 40, 1, true},
	} {
		spec := packetSpec{udp: test.udp, flags: flagACK, payload: pattern(test.total, 1)}
		want := slowSegments(spec.build(), test.size)
		got := coalesce(everything, want...)
		if len(got.runs) != test.writes || !slices.EqualFunc(got.packets, want, bytes.Equal) {
			t.Errorf("%+v: %d writes of %d packets", test, len(got.runs), len(got.packets))
		}
	}
}

func TestPureAcknowledgmentsPassBy(t *testing.T) {
	one := packetSpec{id: 1, sequence: 1000, payload: pattern(100, 0)}.build()
	ack := packetSpec{id: 2, sequence: 1100, ack: 99}.build()
	two := packetSpec{id: 3, sequence: 1100, payload: pattern(100, 0)}.build()
	got := coalesce(everything, one, ack, two)
	if !slices.Equal(got.runs, []int{1, 2}) || !bytes.Equal(got.packets[0], ack) {
		t.Errorf("runs of %v packets, want the acknowledgment, then both others", got.runs)
	}
}

func TestSwitchedOffNothingMerges(t *testing.T) {
	tcp := slowSegments(packetSpec{payload: pattern(1000, 0)}.build(), 100)
	udp := slowSegments(packetSpec{udp: true, payload: pattern(1000, 0)}.build(), 100)
	for o, want := range map[Offloads][2]int{
		{}:                          {10, 10},
		{Checksum: true}:            {10, 10},
		{Checksum: true, TCP: true}: {1, 10},
		{Checksum: true, UDP: true}: {10, 1},
	} {
		if n := len(coalesce(o, tcp...).runs); n != want[0] {
			t.Errorf("%+v: %d runs of TCP, want %d", o, n, want[0])
		}
		if n := len(coalesce(o, udp...).runs); n != want[1] {
			t.Errorf("%+v: %d runs of UDP, want %d", o, n, want[1])
		}
	}
}

// More flows than runs can be open: all get through, in order.
func TestManyFlows(t *testing.T) {
	var packets [][]byte
	for i := range 10 {
		for flow := range 200 {
			packets = append(packets, packetSpec{udp: true, port: byte(flow), id: uint16(i), payload: pattern(20, i)}.build())
		}
	}
	got := coalesce(everything, packets...)
	if got.broken != "" || !slices.EqualFunc(inFlows(got.packets), inFlows(packets), bytes.Equal) {
		t.Errorf("%s; %d packets came out, %d went in", got.broken, len(got.packets), len(packets))
	}
}

func TestCoalescingAllocatesNothing(t *testing.T) {
	c := NewCoalescer(discardRuns{})
	c.Use(everything)
	segments := slowSegments(packetSpec{payload: pattern(60000, 0)}.build(), 1400)
	memory := make([]byte, 1500)
	if allocs := testing.AllocsPerRun(100, func() {
		for i, p := range segments {
			if i == 0 {
				p = append(memory[:0], p...) // it is changed
			}
			c.Add(p)
		}
		c.Flush()
	}); allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

type discardRuns struct{}

func (discardRuns) WriteRun(*Run) {}

// Any two packets come out as they went in, and together only if that is
// permitted.
func FuzzCoalesce(f *testing.F) {
	tcp := slowSegments(packetSpec{payload: pattern(200, 0)}.build(), 100)
	udp := slowSegments(packetSpec{udp: true, payload: pattern(200, 0)}.build(), 100)
	f.Add(tcp[0], tcp[1])
	f.Add(udp[0], udp[1])
	f.Add(tcp[0], udp[0])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if !acceptable(a) || !acceptable(b) {
			return
		}
		got := coalesce(everything, a, b)
		if got.broken != "" {
			t.Fatal(got.broken)
		}
		if len(got.packets) != 2 {
			t.Fatalf("%d packets", len(got.packets))
		}
		if !sameButID(got.packets[0], a) && !sameButID(got.packets[0], b) {
			t.Errorf("%x came out of\n%x and\n%x", got.packets[0], a, b)
		}
		if len(got.runs) == 1 && !(slowValid(a) && slowValid(b)) {
			t.Error("merged with a wrong checksum")
		}
	})
}

// acceptable is what Add requires: one whole IPv4 packet.
func acceptable(p []byte) bool {
	if len(p) < 20 || p[0]>>4 != 4 || int(p[2])<<8|int(p[3]) != len(p) {
		return false
	}
	hl := int(p[0]&15) * 4
	return hl >= 20 && hl <= len(p) && packettest.SlowSum(p[:hl], 0) == 0xffff
}

func BenchmarkCoalesce(b *testing.B) {
	segments := slowSegments(packetSpec{payload: pattern(63000, 0)}.build(), 1400)
	c := NewCoalescer(discardRuns{})
	c.Use(everything)
	first := slices.Clone(segments[0])
	b.SetBytes(63000)
	b.ReportAllocs()
	for b.Loop() {
		copy(segments[0], first)
		for _, p := range segments {
			c.Add(p)
		}
		c.Flush()
	}
}

// Flows that differ in one field only do not share few slots; otherwise their
// runs would close each other.
func TestFlowsSpreadOverSlots(t *testing.T) {
	fields := map[string]int{"last byte of the source": 15, "last byte of the destination": 19, "source port": 21, "destination port": 23}
	for name, at := range fields {
		slots := map[uint64]bool{}
		p := packetSpec{payload: pattern(10, 0)}.build()
		l, ok := packet.LayoutOf(p)
		if !ok {
			t.Fatal("no TCP packet")
		}
		for v := range 256 {
			p[at] = byte(v)
			slots[l.Hash(p)%maxRuns] = true
		}
		if len(slots) < maxRuns*3/4 {
			t.Errorf("%s: 256 flows share %d of %d slots", name, len(slots), maxRuns)
		}
	}
}
