// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"

	"flanneld/internal/packet"
)

// Layouts: Ethernet II, ARP for Ethernet and IPv4 (RFC 826), ICMP (RFC 792).
const (
	ethernetLen = 14
	etherIPv4   = 0x0800
	etherARP    = 0x0806
	arpLen      = 28
	arpRequest  = 1
	arpReply    = 2
	icmpHeader  = packet.ICMPHeaderLen
	cookieLen   = 8
)

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// mark is what the packets of one trace have in common. It is random, so that
// no other host can answer for a station that did not see one.
type mark struct {
	id     uint16
	cookie [cookieLen]byte
}

func newMark(id uint16) (m mark) {
	m.id = id
	_, _ = rand.Read(m.cookie[:]) // never fails (Go 1.24)
	return m
}

// NewID is a random identifier of echo requests.
func NewID() uint16 {
	var id [2]byte
	_, _ = rand.Read(id[:])
	return binary.BigEndian.Uint16(id[:])
}

// request is an echo request in a frame. sequence has the round and the time
// to live.
func (m mark) request(to, from net.HardwareAddr, source, destination netip.Addr, round int, ttl byte) []byte {
	b := make([]byte, ethernetLen+packet.HeaderLen+icmpHeader+cookieLen)
	ethernet(b, to, from, etherIPv4)
	ip := b[ethernetLen:]
	icmp := ip[packet.HeaderLen:]
	icmp[0] = packet.ICMPEcho
	binary.BigEndian.PutUint16(icmp[4:], m.id)
	icmp[6], icmp[7] = byte(round), ttl
	copy(icmp[icmpHeader:], m.cookie[:])
	packet.SetICMPChecksum(icmp)
	packet.Header{TTL: ttl, Protocol: packet.ICMP, DontFragment: true, Source: source, Destination: destination}.Put(ip)
	return b
}

// answer reports whether an IP packet answers a request from source to
// destination, and which. A reply has the cookie. An error has the first eight
// bytes of the request at least (RFC 792), and those name it.
func (m mark) answer(b []byte, source, destination netip.Addr) (a Answer, round int, ok bool) {
	p, err := packet.Parse(b)
	if err != nil || p.Fragment() || p.Protocol() != packet.ICMP || p.Destination() != source || len(p.Payload()) < icmpHeader {
		return a, 0, false
	}
	icmp := p.Payload()
	a = Answer{From: p.Source(), Kind: icmp[0], Code: icmp[1]}
	switch a.Kind {
	case packet.ICMPEchoReply:
		if a.From != destination || len(icmp) < icmpHeader+cookieLen || !bytes.Equal(icmp[icmpHeader:icmpHeader+cookieLen], m.cookie[:]) {
			return a, 0, false
		}
	case packet.ICMPUnreachable, packet.ICMPTimeExceeded:
		inner := packet.Packet(icmp[icmpHeader:])
		if len(inner) < packet.HeaderLen || inner[0]>>4 != 4 {
			return a, 0, false
		}
		header := inner.HeaderLen()
		if header < packet.HeaderLen || len(inner) < header+icmpHeader || inner.Protocol() != packet.ICMP ||
			inner.Source() != source || inner.Destination() != destination {
			return a, 0, false
		}
		icmp = inner[header:]
		if icmp[0] != packet.ICMPEcho {
			return a, 0, false
		}
	default:
		return a, 0, false
	}
	a.TTL = icmp[7]
	return a, int(icmp[6]), binary.BigEndian.Uint16(icmp[4:]) == m.id
}

func ethernet(b []byte, to, from net.HardwareAddr, kind uint16) {
	copy(b, to)
	copy(b[6:], from)
	binary.BigEndian.PutUint16(b[12:], kind)
}

// arp is a message of ARP.
type arp struct {
	operation      uint16
	senderMAC      net.HardwareAddr
	sender, target netip.Addr
}

// frame is the message in a frame to an Ethernet address.
func (a arp) frame(to net.HardwareAddr) []byte {
	b := make([]byte, ethernetLen+arpLen)
	ethernet(b, to, a.senderMAC, etherARP)
	m := b[ethernetLen:]
	binary.BigEndian.PutUint16(m, 1) // Ethernet
	binary.BigEndian.PutUint16(m[2:], etherIPv4)
	m[4], m[5] = 6, 4
	binary.BigEndian.PutUint16(m[6:], a.operation)
	copy(m[8:], a.senderMAC)
	sender, target := a.sender.As4(), a.target.As4()
	copy(m[14:], sender[:])
	if a.operation == arpReply {
		copy(m[18:], to)
	}
	copy(m[24:], target[:])
	return b
}

// parseARP reads what follows the Ethernet header.
func parseARP(m []byte) (a arp, ok bool) {
	if len(m) < arpLen || binary.BigEndian.Uint16(m) != 1 || binary.BigEndian.Uint16(m[2:]) != etherIPv4 || m[4] != 6 || m[5] != 4 {
		return a, false
	}
	a = arp{
		operation: binary.BigEndian.Uint16(m[6:]), senderMAC: bytes.Clone(m[8:14]),
		sender: netip.AddrFrom4([4]byte(m[14:18])), target: netip.AddrFrom4([4]byte(m[24:28])),
	}
	return a, a.operation == arpRequest || a.operation == arpReply
}
