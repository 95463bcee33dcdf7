// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"bytes"
	"encoding/binary"

	"flanneld/internal/packet"
)

// Run is one write to the device: a packet, or consecutive packets of one flow
// that become one superpacket. It is valid during Sink.WriteRun only.
type Run struct {
	// Buffers are the first packet and the payloads of the others, laid end to
	// end. The first packet's headers are those of the superpacket already,
	// without its transport checksum.
	Buffers [][]byte

	// Packets is how many packets the run is made of, at least 1, and Bytes how
	// long they were together.
	Packets, Bytes int

	// SegmentSize is the payload of each packet but the last, in bytes, or zero
	// for a packet that stays as it is.
	SegmentSize int

	layout packet.Layout
}

// Sink takes the runs of a Coalescer.
type Sink interface {
	WriteRun(*Run)
}

// Limits of a run.
const (
	// maxRun is how many packets make a run. It is the number that the kernel
	// takes in one UDP train, and more than the ordinary TCP segments that fit
	// 64 KB.
	maxRun = 64

	// maxRuns is how many runs are open at once.
	maxRuns = 32

	// minSegment is the least payload of TCP segments that make a run, in
	// bytes. Linux 6.12 takes a superpacket of smaller ones, and drops it where
	// it has to cut it (TCP_MIN_GSO_SIZE, include/net/tcp.h).
	minSegment = 8
)

// Coalescer puts packets of one flow together, so that many cross the device in
// one write; the reverse of Segmenter. It replaces the network stack's own GRO
// and never merges what GRO would not. It does not merge fragments, packets
// with IP options, or TCP segments of fewer than minSegment bytes. Packets do
// not merge if they differ in type of service, time to live, TCP flags,
// options, acknowledgment or window. They do not merge if their fields do not
// continue the previous packet's. Tunnels' packets do not merge either, because
// their inner checksums were not verified.
//
// The kernel trusts a superpacket. So checksums are verified before anything is
// merged: a corrupt packet stays alone, and the receiver detects it.
//
// Packets of a flow leave in the order they came in, except for pure
// acknowledgments, which pass by without closing their flow's run. A run stays
// open until Flush.
//
// A Coalescer belongs to one goroutine. Packets given to Add must stay
// unchanged until Flush, and Flush may change them.
type Coalescer struct {
	sink     Sink
	tcp, udp bool

	runs   [maxRuns]openRun
	open   [maxRuns]uint8 // indexes of runs, in the order in which they were opened
	opened int
	single [1][]byte // of a run that is a packet
	one    Run
}

// openRun is a run that may grow.
type openRun struct {
	buffers  [maxRun][]byte
	n        int // of buffers; zero: not open
	bytes    int // of all packets
	total    int // length of the superpacket so far
	size     int // payload of the first packet
	verified bool
	layout   packet.Layout
	index    uint8 // of this one among all

	sequence uint32 // of TCP, expected next
	push     bool
}

// NewCoalescer makes a Coalescer that writes to sink.
func NewCoalescer(sink Sink) *Coalescer {
	c := &Coalescer{sink: sink}
	for i := range c.runs {
		c.runs[i].index = uint8(i)
	}
	return c
}

// Use sets which packets to put together from now on: the kinds that the queue
// can take as superpackets.
func (c *Coalescer) Use(o Offloads) { c.tcp, c.udp = o.TCP, o.UDP }

// Add takes one whole IPv4 packet with a valid IP header.
func (c *Coalescer) Add(p []byte) {
	l, ok := packet.LayoutOf(p)
	switch {
	case !ok:
		c.pass(p)
	case l.Protocol == packet.TCP && c.tcp:
		c.addTCP(p, l)
	case l.Protocol == packet.UDP && c.udp:
		c.addUDP(p, l)
	default:
		c.write(p)
	}
}

// Flush writes all runs, in the order in which they were opened.
func (c *Coalescer) Flush() {
	for i := range c.opened {
		c.finish(&c.runs[c.open[i]])
	}
	c.opened = 0
}

// pass writes a packet without a flow, or a fragment of an unknown flow: no
// packet may overtake it.
func (c *Coalescer) pass(p []byte) {
	if protocol := packet.Packet(p).Protocol(); protocol == packet.TCP || protocol == packet.UDP {
		c.Flush()
	}
	c.write(p)
}

// write writes one packet as it is.
func (c *Coalescer) write(p []byte) {
	c.single[0] = p
	c.one = Run{Buffers: c.single[:], Packets: 1, Bytes: len(p)}
	c.sink.WriteRun(&c.one)
}

func (c *Coalescer) addTCP(p []byte, l packet.Layout) {
	flags := p[l.IP+tcpFlags]
	if len(p) == l.Headers && flags == flagACK {
		c.write(p) // passes by
		return
	}
	r := c.slot(p, l)
	// The others concern the connection, or the urgent pointer.
	candidate := l.IP == packet.HeaderLen && len(p) > l.Headers && flags&^(flagPSH|flagECE) == flagACK
	switch {
	case candidate && r.n > 0 && r.continuesTCP(p, l) && r.verify(p, l):
		r.append(p, l)
		r.sequence += uint32(len(p) - l.Headers)
		r.push = flags&flagPSH != 0
	case candidate:
		c.begin(r, p, l)
		r.sequence = binary.BigEndian.Uint32(p[l.IP+tcpSequence:]) + uint32(len(p)-l.Headers)
		r.push = flags&flagPSH != 0
	default:
		c.close(r)
		c.write(p)
		return
	}
	if r.push {
		c.close(r)
	}
}

func (c *Coalescer) addUDP(p []byte, l packet.Layout) {
	r := c.slot(p, l)
	switch candidate := mayMergeUDP(p, l); {
	case candidate && r.n > 0 && r.continuesUDP(p, l) && r.verify(p, l):
		r.append(p, l)
	case candidate:
		c.begin(r, p, l)
	default:
		c.close(r)
		c.write(p)
	}
}

// mayMergeUDP reports whether a datagram can be part of a train at all. One
// without a checksum cannot: the kernel would compute one.
func mayMergeUDP(p []byte, l packet.Layout) bool {
	transport := p[l.IP:]
	return l.IP == packet.HeaderLen && len(p) > l.Headers &&
		int(binary.BigEndian.Uint16(transport[udpLength:])) == len(transport) &&
		binary.BigEndian.Uint16(transport[udpChecksum:]) != 0 &&
		!isTunnel(binary.BigEndian.Uint16(transport[2:]))
}

// isTunnel reports whether packets to this UDP port probably contain packets,
// which the kernel would parse: VXLAN (RFC 7348, and Linux's earlier port) and
// Geneve (RFC 8926).
func isTunnel(port uint16) bool { return port == 4789 || port == 8472 || port == 6081 }

// slot finds the run of a packet's flow, or a place for it. It writes a run of
// another flow in that place.
func (c *Coalescer) slot(p []byte, l packet.Layout) *openRun {
	r := &c.runs[l.Hash(p)%maxRuns]
	if r.n > 0 && !r.layout.SameFlow(r.buffers[0], l, p) {
		c.close(r)
	}
	return r
}

// begin closes r, if it is open, and begins a new run in its place.
func (c *Coalescer) begin(r *openRun, p []byte, l packet.Layout) {
	c.close(r)
	r.layout, r.bytes, r.total, r.size = l, len(p), len(p), len(p)-l.Headers
	r.buffers[0], r.n, r.verified = p, 1, false
	c.open[c.opened] = r.index
	c.opened++
}

// close writes r, if it is open.
func (c *Coalescer) close(r *openRun) {
	if r.n == 0 {
		return
	}
	i := bytes.IndexByte(c.open[:c.opened], r.index)
	copy(c.open[i:], c.open[i+1:c.opened])
	c.opened--
	c.finish(r)
}

// finish makes a superpacket of r, gives it away, and makes r free.
func (c *Coalescer) finish(r *openRun) {
	c.one = Run{Buffers: r.buffers[:r.n], Packets: r.n, Bytes: r.bytes, layout: r.layout}
	if r.n > 1 {
		c.one.SegmentSize = r.size
		r.seal()
	}
	r.n = 0
	c.sink.WriteRun(&c.one)
}

// continues compares what both protocols have in common. The packet has to be
// the next one, and no longer than the first. The kernel, when it cuts the
// superpacket, has to make the same packets.
func (r *openRun) continues(p []byte, l packet.Layout) bool {
	first, payload := r.buffers[0], len(p)-l.Headers
	return r.n < maxRun && l == r.layout &&
		payload <= r.size && r.total+payload <= packet.MaxLen &&
		r.total-l.Headers == r.n*r.size && // else the one before was shorter
		packet.Continues(first, p, r.n)
}

// continuesTCP compares acknowledgment, header length, flags, window, urgent
// pointer and options, too. The flag of the packet before, PSH, ends a run.
func (r *openRun) continuesTCP(p []byte, l packet.Layout) bool {
	first := r.buffers[0][r.layout.IP:r.layout.Headers]
	transport := p[l.IP:l.Headers]
	return r.size >= minSegment && r.continues(p, l) &&
		binary.BigEndian.Uint32(transport[tcpSequence:]) == r.sequence &&
		binary.LittleEndian.Uint32(transport[8:]) == binary.LittleEndian.Uint32(first[8:]) &&
		transport[12] == first[12] && transport[tcpFlags]&^flagPSH == first[tcpFlags] &&
		binary.LittleEndian.Uint16(transport[14:]) == binary.LittleEndian.Uint16(first[14:]) &&
		binary.LittleEndian.Uint16(transport[18:]) == binary.LittleEndian.Uint16(first[18:]) &&
		bytes.Equal(transport[packet.TCPHeaderLen:], first[packet.TCPHeaderLen:])
}

func (r *openRun) continuesUDP(p []byte, l packet.Layout) bool { return r.continues(p, l) }

// verify reports whether the transport checksums of packet and of the run's
// first are right.
func (r *openRun) verify(p []byte, l packet.Layout) bool {
	if !r.verified {
		r.verified = l.ChecksumValid(r.buffers[0])
	}
	return r.verified && l.ChecksumValid(p)
}

// append adds the next packet.
func (r *openRun) append(p []byte, l packet.Layout) {
	payload := p[l.Headers:]
	r.buffers[r.n] = payload
	r.n++
	r.bytes += len(p)
	r.total += len(payload)
}

// seal makes the first packet's headers those of the superpacket.
func (r *openRun) seal() {
	ip, transport := r.buffers[0][:r.layout.IP], r.buffers[0][r.layout.IP:]
	packet.SetLength(ip, r.total)
	length := r.total - r.layout.IP
	at := tcpChecksum
	if r.layout.Protocol == packet.UDP {
		at = udpChecksum
		binary.BigEndian.PutUint16(transport[udpLength:], uint16(length))
	} else if r.push {
		transport[tcpFlags] |= flagPSH
	}
	binary.BigEndian.PutUint16(transport[at:], packet.PseudoHeader(ip, length).Fold())
}
