// SPDX-License-Identifier: Apache-2.0

package tun

import (
	"encoding/binary"

	"flanneld/internal/packet"
)

// virtioHeader is struct virtio_net_hdr (linux/virtio_net.h), which stands in
// front of every packet of a queue with offloads. It describes the packet's
// checksum and where to cut the packet.
type virtioHeader struct {
	flags          uint8  // virtioNeedsChecksum
	kind           uint8  // virtioTCP4, virtioUDP, or zero; perhaps with virtioECN
	headerLen      uint16 // of all headers, "a hint": not to be trusted
	segmentSize    uint16 // payload bytes of each segment
	checksumStart  uint16 // where summing begins
	checksumOffset uint16 // where the checksum goes, from checksumStart on
}

// virtioLen is the header's length in bytes.
const virtioLen = 10

const (
	virtioNeedsChecksum = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM

	virtioTCP4 = 1    // VIRTIO_NET_HDR_GSO_TCPV4
	virtioUDP  = 5    // VIRTIO_NET_HDR_GSO_UDP_L4
	virtioECN  = 0x80 // VIRTIO_NET_HDR_GSO_ECN: the first segment has CWR
)

// parseVirtio reads a header of virtioLen bytes. Numbers are in the machine's
// own byte order, the default of a TUN device.
func parseVirtio(b []byte) virtioHeader {
	_ = b[virtioLen-1]
	return virtioHeader{
		flags:          b[0],
		kind:           b[1],
		headerLen:      binary.NativeEndian.Uint16(b[2:]),
		segmentSize:    binary.NativeEndian.Uint16(b[4:]),
		checksumStart:  binary.NativeEndian.Uint16(b[6:]),
		checksumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
}

// put writes the header into virtioLen bytes.
func (h virtioHeader) put(b []byte) {
	_ = b[virtioLen-1]
	b[0] = h.flags
	b[1] = h.kind
	binary.NativeEndian.PutUint16(b[2:], h.headerLen)
	binary.NativeEndian.PutUint16(b[4:], h.segmentSize)
	binary.NativeEndian.PutUint16(b[6:], h.checksumStart)
	binary.NativeEndian.PutUint16(b[8:], h.checksumOffset)
}

// superpacketHeader is the header for a superpacket to be written. The
// superpacket's transport checksum covers the pseudo-header alone.
func superpacketHeader(l packet.Layout, segmentSize int) virtioHeader {
	h := virtioHeader{
		flags:          virtioNeedsChecksum,
		kind:           virtioTCP4,
		headerLen:      uint16(l.Headers),
		segmentSize:    uint16(segmentSize),
		checksumStart:  uint16(l.IP),
		checksumOffset: tcpChecksum,
	}
	if l.Protocol == packet.UDP {
		h.kind, h.checksumOffset = virtioUDP, udpChecksum
	}
	return h
}

// completeChecksum computes the checksum that the kernel left to the device.
// The sum of the pseudo-header is in its place already. An offset outside the
// packet is ignored; then the receiver finds the checksum wrong.
func completeChecksum(p []byte, h virtioHeader) {
	start, at := int(h.checksumStart), int(h.checksumStart)+int(h.checksumOffset)
	if at+2 > len(p) {
		return
	}
	c := packet.Checksum(p[start:])
	if c == 0 {
		// The same number in one's complement, and right for TCP, too. A UDP
		// checksum of zero would mean that there is none (RFC 768).
		c = 0xffff
	}
	binary.BigEndian.PutUint16(p[at:], c)
}

// matches reports whether the header describes a superpacket that Segmenter can
// cut.
func (h virtioHeader) matches(p []byte) bool {
	l, ok := packet.LayoutOf(p)
	if !ok || h.segmentSize == 0 {
		return false
	}
	switch h.kind &^ virtioECN {
	case virtioTCP4:
		return l.Protocol == packet.TCP
	case virtioUDP:
		return l.Protocol == packet.UDP
	}
	return false
}
