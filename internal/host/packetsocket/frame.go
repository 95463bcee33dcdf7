// SPDX-License-Identifier: Apache-2.0

package packetsocket

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Offload says what is left to the device. The zero value leaves nothing.
type Offload struct {
	// Checksum leaves the TCP checksum to the device. Its field has the sum of
	// the pseudo-header, folded and not complemented.
	Checksum bool
	// Segment is how many bytes of payload each TCP segment has that the device
	// cuts the packet into. 0: the packet is one segment. It needs Checksum.
	Segment int
}

// Layouts of what stands in front of a packet.
const (
	ethernetLen = 14
	etherIPv4   = 0x0800

	virtioLen           = 10 // struct virtio_net_hdr (linux/virtio_net.h)
	virtioNeedsChecksum = 1  // VIRTIO_NET_HDR_F_NEEDS_CSUM
	virtioTCP4          = 1  // VIRTIO_NET_HDR_GSO_TCPV4

	ipHeaderLen  = 20
	tcpHeaderLen = 20
	protocolIPIP = 4
	protocolTCP  = 6
	tcpChecksum  = 16 // offset in the TCP header
)

// frame is a packet with all that the kernel wants in front: a virtio header in
// the machine's byte order, and an Ethernet header.
func frame(to, from net.HardwareAddr, packet []byte, o Offload) ([]byte, error) {
	if len(to) != 6 || len(from) != 6 || to[0]&1 != 0 {
		return nil, ErrAddress
	}
	if len(packet) < ipHeaderLen || packet[0]>>4 != 4 {
		return nil, ErrPacket
	}
	b := make([]byte, virtioLen+ethernetLen, virtioLen+ethernetLen+len(packet))
	if err := o.put(b, packet, ethernetLen); err != nil {
		return nil, err
	}
	ethernet := b[virtioLen:]
	copy(ethernet, to)
	copy(ethernet[6:], from)
	binary.BigEndian.PutUint16(ethernet[12:], etherIPv4)
	return append(b, packet...), nil
}

// bare is a packet with a virtio header in front, for a device that has no
// header of its own.
func bare(packet []byte, o Offload) ([]byte, error) {
	if len(packet) < ipHeaderLen || packet[0]>>4 != 4 {
		return nil, ErrPacket
	}
	b := make([]byte, virtioLen, virtioLen+len(packet))
	if err := o.put(b, packet, 0); err != nil {
		return nil, err
	}
	return append(b, packet...), nil
}

// put writes the virtio header of a packet behind a device's header of so many
// bytes.
func (o Offload) put(b, packet []byte, link int) error {
	if o == (Offload{}) {
		return nil
	}
	ip := int(packet[0]&0x0f) * 4
	if !o.Checksum || ip < ipHeaderLen || packet[9] != protocolTCP || len(packet) < ip+tcpHeaderLen {
		return ErrPacket
	}
	headers := ip + int(packet[ip+12]>>4)*4
	if headers < ip+tcpHeaderLen || headers > len(packet) {
		return ErrPacket
	}
	b[0] = virtioNeedsChecksum
	binary.NativeEndian.PutUint16(b[6:], uint16(link+ip))
	binary.NativeEndian.PutUint16(b[8:], tcpChecksum)
	if o.Segment > 0 && len(packet)-headers > o.Segment {
		b[1] = virtioTCP4
		binary.NativeEndian.PutUint16(b[2:], uint16(link+headers))
		binary.NativeEndian.PutUint16(b[4:], uint16(o.Segment))
	}
	return nil
}

// wrapped is a packet in the header of another one (RFC 2003). The kernel fills
// in checksum and identification.
func wrapped(from, to netip.Addr, packet []byte) ([]byte, error) {
	if !from.Is4() || !to.Is4() || len(packet) < ipHeaderLen || len(packet)+ipHeaderLen > 0xffff {
		return nil, ErrPacket
	}
	source, destination := from.As4(), to.As4()
	b := make([]byte, ipHeaderLen, ipHeaderLen+len(packet))
	b[0] = 4<<4 | ipHeaderLen/4
	b[1] = packet[1] // the type of service
	binary.BigEndian.PutUint16(b[2:], uint16(ipHeaderLen+len(packet)))
	const timeToLive = 64
	b[8], b[9] = timeToLive, protocolIPIP
	copy(b[12:], source[:])
	copy(b[16:], destination[:])
	return append(b, packet...), nil
}
