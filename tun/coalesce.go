package tun

import (
	"bytes"
	"encoding/binary"
)

// Run is one write to the device: a packet, or packets of one flow that follow
// each other and become one superpacket. It is valid during Sink.WriteRun only.
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

	format format
}

// Sink takes what a Coalescer has put together.
type Sink interface {
	WriteRun(*Run)
}

// Limits of a run.
const (
	// maxRun is how many packets make a run: what the kernel takes in one UDP
	// train, and more than TCP segments of ordinary length fit 64 KB.
	maxRun = 64

	// maxRuns is how many runs are open at once.
	maxRuns = 32

	// minSegment is the least payload of TCP segments that make a run, in bytes.
	// Linux 6.12 takes a superpacket of smaller ones, and drops it where it has to
	// cut it (TCP_MIN_GSO_SIZE, include/net/tcp.h).
	minSegment = 8
)

// Coalescer puts packets of one flow together, so that many cross the device in
// one write; the reverse of Segmenter. It stands in for the network stack's own
// GRO and never merges what that would not. It does not merge fragments,
// packets with IP options, or TCP segments of fewer than minSegment bytes.
// Packets do not merge if they differ in type of service, time to live, TCP
// flags, options, acknowledgment or window, or if their fields do not continue
// those before. Neither do tunnels' packets, whose inner checksums were not
// verified.
//
// The kernel trusts a superpacket. So checksums are verified before anything is
// merged: a corrupt packet stays alone, and the receiver finds out.
//
// Packets of a flow leave in the order they came in, but for pure
// acknowledgments, which pass by without closing their flow's run. A run stays
// open until Flush.
//
// A Coalescer belongs to one goroutine. Packets given to Add must stay as they
// are until Flush, and may be changed by it.
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
	format   format
	index    uint8 // of this one among all

	sequence uint32 // of TCP, expected next
	id       uint16 // of IP, expected next
	push     bool
}

// NewCoalescer makes one that gives to sink.
func NewCoalescer(sink Sink) *Coalescer {
	c := &Coalescer{sink: sink}
	for i := range c.runs {
		c.runs[i].index = uint8(i)
	}
	return c
}

// Use says which packets to put together from now on: those that the queue can
// take as superpackets.
func (c *Coalescer) Use(o Offloads) { c.tcp, c.udp = o.TCP, o.UDP }

// Add takes one whole IPv4 packet with a valid IP header.
func (c *Coalescer) Add(packet []byte) {
	f, ok := findFormat(packet)
	switch {
	case !ok:
		c.pass(packet)
	case f.protocol == protocolTCP && c.tcp:
		c.addTCP(packet, f)
	case f.protocol == protocolUDP && c.udp:
		c.addUDP(packet, f)
	default:
		c.write(packet)
	}
}

// Flush writes all runs, in the order in which they were opened.
func (c *Coalescer) Flush() {
	for i := range c.opened {
		c.finish(&c.runs[c.open[i]])
	}
	c.opened = 0
}

// pass writes a packet that has no flow, or a fragment of one that cannot be
// told: nothing may overtake it.
func (c *Coalescer) pass(packet []byte) {
	if p := packet[9]; p == protocolTCP || p == protocolUDP {
		c.Flush()
	}
	c.write(packet)
}

// write writes one packet as it is.
func (c *Coalescer) write(packet []byte) {
	c.single[0] = packet
	c.one = Run{Buffers: c.single[:], Packets: 1, Bytes: len(packet)}
	c.sink.WriteRun(&c.one)
}

func (c *Coalescer) addTCP(packet []byte, f format) {
	flags := packet[f.ip+tcpFlags]
	if len(packet) == f.length && flags == flagACK {
		c.write(packet) // passes by
		return
	}
	r := c.slot(packet, f)
	// The others concern the connection, or the urgent pointer.
	candidate := f.ip == ipHeader && len(packet) > f.length && flags&^(flagPSH|flagECE) == flagACK
	switch {
	case candidate && r.n > 0 && r.continuesTCP(packet, f) && r.verify(packet):
		r.append(packet, f)
		r.sequence += uint32(len(packet) - f.length)
		r.push = flags&flagPSH != 0
	case candidate:
		c.begin(r, packet, f)
		r.sequence = binary.BigEndian.Uint32(packet[f.ip+tcpSequence:]) + uint32(len(packet)-f.length)
		r.push = flags&flagPSH != 0
	default:
		c.close(r)
		c.write(packet)
		return
	}
	if r.push {
		c.close(r)
	}
}

func (c *Coalescer) addUDP(packet []byte, f format) {
	r := c.slot(packet, f)
	switch candidate := mayMergeUDP(packet, f); {
	case candidate && r.n > 0 && r.continuesUDP(packet, f) && r.verify(packet):
		r.append(packet, f)
	case candidate:
		c.begin(r, packet, f)
	default:
		c.close(r)
		c.write(packet)
	}
}

// mayMergeUDP reports whether a datagram can be part of a train at all. One
// without a checksum cannot: the kernel would compute one.
func mayMergeUDP(packet []byte, f format) bool {
	transport := packet[f.ip:]
	return f.ip == ipHeader && len(packet) > f.length &&
		int(binary.BigEndian.Uint16(transport[udpLength:])) == len(transport) &&
		binary.BigEndian.Uint16(transport[udpChecksum:]) != 0 &&
		!isTunnel(binary.BigEndian.Uint16(transport[2:]))
}

// isTunnel reports whether packets to this UDP port are likely to have packets
// in them, which the kernel would look into: VXLAN (RFC 7348, and the port that
// Linux had before) and Geneve (RFC 8926).
func isTunnel(port uint16) bool { return port == 4789 || port == 8472 || port == 6081 }

// slot finds the run of a packet's flow, or the place for it. A run of another
// flow that is in that place is written.
func (c *Coalescer) slot(packet []byte, f format) *openRun {
	r := &c.runs[flowHash(packet, f)%maxRuns]
	if r.n > 0 && !r.sameFlow(packet, f) {
		c.close(r)
	}
	return r
}

// flowHash mixes addresses and ports.
func flowHash(packet []byte, f format) uint64 {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	h := (binary.LittleEndian.Uint64(packet[12:]) ^ uint64(f.protocol)) * golden
	h ^= h >> 32 // a multiplication carries upwards only
	h ^= uint64(binary.LittleEndian.Uint32(packet[f.ip:]))
	return h * golden >> 40
}

// sameFlow compares addresses, protocol and ports.
func (r *openRun) sameFlow(packet []byte, f format) bool {
	first := r.buffers[0]
	return r.format.protocol == f.protocol &&
		binary.LittleEndian.Uint64(first[12:]) == binary.LittleEndian.Uint64(packet[12:]) &&
		binary.LittleEndian.Uint32(first[r.format.ip:]) == binary.LittleEndian.Uint32(packet[f.ip:])
}

// begin closes r, if it is open, and begins a new run in its place.
func (c *Coalescer) begin(r *openRun, packet []byte, f format) {
	c.close(r)
	r.format, r.bytes, r.total, r.size = f, len(packet), len(packet), len(packet)-f.length
	r.buffers[0], r.n, r.verified = packet, 1, false
	r.id = binary.BigEndian.Uint16(packet[4:]) + 1
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
	c.one = Run{Buffers: r.buffers[:r.n], Packets: r.n, Bytes: r.bytes, format: r.format}
	if r.n > 1 {
		c.one.SegmentSize = r.size
		r.seal()
	}
	r.n = 0
	c.sink.WriteRun(&c.one)
}

// continues compares what both protocols have in common: the packet has to be
// the next one, no longer than the first, and so that the kernel, cutting the
// superpacket, makes the same packets of it.
func (r *openRun) continues(packet []byte, f format) bool {
	first, payload := r.buffers[0], len(packet)-f.length
	const df = 0x40
	return r.n < maxRun && f == r.format &&
		payload <= r.size && r.total+payload <= maxPacket &&
		r.total-f.length == r.n*r.size && // else the one before was shorter
		packet[1] == first[1] && packet[6] == first[6] && packet[8] == first[8] &&
		(packet[6]&df != 0 || binary.BigEndian.Uint16(packet[4:]) == r.id)
}

// continuesTCP compares acknowledgment, header length, flags, window, urgent
// pointer and options, too. The flag of the packet before, PSH, ends a run.
func (r *openRun) continuesTCP(packet []byte, f format) bool {
	first := r.buffers[0][r.format.ip:r.format.length]
	transport := packet[f.ip:f.length]
	return r.size >= minSegment && r.continues(packet, f) &&
		binary.BigEndian.Uint32(transport[tcpSequence:]) == r.sequence &&
		binary.LittleEndian.Uint32(transport[8:]) == binary.LittleEndian.Uint32(first[8:]) &&
		transport[12] == first[12] && transport[tcpFlags]&^flagPSH == first[tcpFlags] &&
		binary.LittleEndian.Uint16(transport[14:]) == binary.LittleEndian.Uint16(first[14:]) &&
		binary.LittleEndian.Uint16(transport[18:]) == binary.LittleEndian.Uint16(first[18:]) &&
		bytes.Equal(transport[tcpHeader:], first[tcpHeader:])
}

func (r *openRun) continuesUDP(packet []byte, f format) bool { return r.continues(packet, f) }

// verify reports whether the transport checksums of packet and of the run's
// first are right.
func (r *openRun) verify(packet []byte) bool {
	if !r.verified {
		r.verified = checksumValid(r.buffers[0])
	}
	return r.verified && checksumValid(packet)
}

// checksumValid verifies the transport checksum of a packet without IP options.
func checksumValid(packet []byte) bool {
	transport := packet[ipHeader:]
	return fold(sum(transport, pseudo(packet, len(transport)))) == 0xffff
}

// append adds the next packet.
func (r *openRun) append(packet []byte, f format) {
	payload := packet[f.length:]
	r.buffers[r.n] = payload
	r.n++
	r.bytes += len(packet)
	r.total += len(payload)
	r.id++
}

// seal makes the first packet's headers those of the superpacket.
func (r *openRun) seal() {
	ip, transport := r.buffers[0][:r.format.ip], r.buffers[0][r.format.ip:]
	binary.BigEndian.PutUint16(ip[2:], uint16(r.total))
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip, 0)))
	length := r.total - r.format.ip
	at := tcpChecksum
	if r.format.protocol == protocolUDP {
		at = udpChecksum
		binary.BigEndian.PutUint16(transport[udpLength:], uint16(length))
	} else if r.push {
		transport[tcpFlags] |= flagPSH
	}
	binary.BigEndian.PutUint16(transport[at:], fold(pseudo(ip, length)))
}
