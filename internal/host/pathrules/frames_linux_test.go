// SPDX-License-Identifier: Apache-2.0

package pathrules

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Frames are made by hand, so that each field can be forged.

func ether(dst, src net.HardwareAddr, kind uint16, payload []byte) []byte {
	b := append(append([]byte{}, dst...), src...)
	return append(binary.BigEndian.AppendUint16(b, kind), payload...)
}

// ipv4 is a packet; options fill up to 4 bytes.
func ipv4(src, dst netip.Addr, proto byte, options, payload []byte) []byte {
	h := make([]byte, 20+len(options))
	h[0] = 4<<4 | byte(len(h)/4)
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(payload)))
	binary.BigEndian.PutUint16(h[4:], 7)
	h[8], h[9] = 64, proto
	copy(h[12:], src.AsSlice())
	copy(h[16:], dst.AsSlice())
	copy(h[20:], options)
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return append(h, payload...)
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 > 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// udp is a datagram without a checksum.
func udp(from, to uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

func vxlanHeader(vni uint32, frame []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, 1<<27) // the VNI is valid
	return append(binary.BigEndian.AppendUint32(b, vni<<8), frame...)
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func mac(kind, n byte) net.HardwareAddr { return net.HardwareAddr{kind, 0, 0, 0, 0, n} }
