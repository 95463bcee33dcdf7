// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"flanneld/internal/packet"
)

// Packets made by hand, for peers that are not flanneld and for hostile ones.

// IPPacket builds an IPv4 packet (RFC 791) without options, with a correct
// header checksum and DF clear.
func IPPacket(from, to netip.Addr, protocol byte, payload []byte) []byte {
	b := append(make([]byte, packet.HeaderLen), payload...)
	return packet.Header{TTL: 64, Protocol: protocol, Source: from, Destination: to}.Put(b)
}

// UDPPacket builds an IPv4 packet with a UDP datagram inside (RFC 768); its
// checksum is left out, as IPv4 allows.
func UDPPacket(from, to netip.AddrPort, data []byte) []byte {
	b := make([]byte, 8+len(data))
	binary.BigEndian.PutUint16(b[0:], from.Port())
	binary.BigEndian.PutUint16(b[2:], to.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	copy(b[8:], data)
	return IPPacket(from.Addr(), to.Addr(), packet.UDP, b)
}

// SumUDP puts the UDP checksum into a packet of [UDPPacket].
func SumUDP(p []byte) []byte {
	datagram := packet.Packet(p).Payload()
	datagram[6], datagram[7] = 0, 0
	sum := ^packet.PseudoHeader(p, len(datagram)).Bytes(datagram).Fold()
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(datagram[6:], sum)
	return p
}

// EchoPacket builds an IPv4 packet with an ICMP echo request or reply inside.
func EchoPacket(from, to netip.Addr, reply bool, id, seq uint16, data []byte) []byte {
	b := make([]byte, packet.ICMPHeaderLen+len(data))
	if !reply {
		b[0] = packet.ICMPEcho
	}
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], seq)
	copy(b[8:], data)
	packet.SetICMPChecksum(b)
	return IPPacket(from, to, packet.ICMP, b)
}

// FixChecksum recomputes the header checksum of a packet that was changed.
func FixChecksum(p []byte) []byte {
	header := min(packet.Packet(p).HeaderLen(), len(p))
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], packet.Checksum(p[:header]))
	return p
}

// CheckPacket returns what is wrong with an IPv4 packet, if anything is:
// lengths, header checksum, and the checksum of TCP, UDP or ICMP inside. A UDP
// checksum may be left out. The checksum of a fragment cannot be checked.
func CheckPacket(b []byte) error {
	p, err := packet.Parse(b)
	if err != nil {
		return fmt.Errorf("%d bytes: %w", len(b), err)
	}
	if p.Fragment() {
		return nil
	}
	return checkTransport(p)
}

// checkTransport checks the payload of a packet.
func checkTransport(p packet.Packet) error {
	b := p.Payload()
	right := func() bool { return packet.PseudoHeader(p, len(b)).Bytes(b).Fold() == 0xffff }
	switch protocol := p.Protocol(); {
	case protocol == packet.ICMP && packet.Checksum(b) != 0:
		return fmt.Errorf("wrong ICMP checksum")
	case protocol == packet.TCP && (len(b) < packet.TCPHeaderLen || !right()):
		return fmt.Errorf("wrong TCP checksum")
	case protocol != packet.UDP:
		return nil
	case len(b) < packet.UDPHeaderLen || int(binary.BigEndian.Uint16(b[4:])) != len(b):
		return fmt.Errorf("wrong UDP length")
	case binary.BigEndian.Uint16(b[6:]) != 0 && !right():
		return fmt.Errorf("wrong UDP checksum")
	}
	return nil
}
