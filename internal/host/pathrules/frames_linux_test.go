// SPDX-License-Identifier: Apache-2.0

package pathrules

import (
	"encoding/binary"
	"net"
	"net/netip"

	"flanneld/internal/packet/packettest"
)

// Frames are made by hand, so that each field can be forged.

func ether(dst, src net.HardwareAddr, kind uint16, payload []byte) []byte {
	b := append(append([]byte{}, dst...), src...)
	return append(binary.BigEndian.AppendUint16(b, kind), payload...)
}

// ipv4 is a packet; options fill up to 4 bytes.
func ipv4(src, dst netip.Addr, proto byte, options, payload []byte) []byte {
	return packettest.Spec{
		Src: src.String(), Dst: dst.String(), Protocol: proto, ID: 7, Options: options, Payload: payload,
	}.Build()
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
