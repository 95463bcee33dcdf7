// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"

	"flanneld/internal/packet"
)

// Layout of a probe: IP header without options, ICMP echo header, cookie,
// zeros.
const (
	icmpHeader = packet.ICMPHeaderLen
	cookieLen  = 8
	// smallSize is the length of a small probe without a stamp, in bytes.
	smallSize = packet.HeaderLen + icmpHeader + cookieLen

	plainTTL = 63 // of a packet that a router has forwarded once
)

// stampLen is the length of a stamp, in bytes. It stands behind the cookie.
const stampLen = 8

// Stamp is for a path that marks what passes it. Echo requests carry Asked.
// What carries packets at the peer replaces it by Seen, so the reply tells that
// the request came by the path. A reply with another stamp proves nothing. The
// zero value is no stamp.
type Stamp struct{ Asked, Seen [stampLen]byte }

// token is what a prober's probes have in common. It is random but for the
// stamp.
type token struct {
	id     uint16
	cookie [cookieLen]byte
	stamp  Stamp
}

// small is the length of a small probe, in bytes.
func (t token) small() int {
	if t.stamp == (Stamp{}) {
		return smallSize
	}
	return smallSize + stampLen
}

func newToken() (t token) {
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails (Go 1.24)
	_, _ = rand.Read(t.cookie[:])
	t.id = binary.BigEndian.Uint16(id[:])
	return t
}

// request describes a probe.
type request struct {
	source, destination netip.Addr
	sequence            uint16
	ttl                 byte
	size                int // bytes of the whole packet, smallSize to 65535

	tcp     bool // a TCP segment, no echo request
	offload Offload
}

// build writes a probe. Its memory is new.
func (t token) build(r request) []byte {
	if r.tcp {
		return t.segment(r)
	}
	b := make([]byte, max(r.size, t.small()))
	icmp := b[packet.HeaderLen:]
	icmp[0] = packet.ICMPEcho
	binary.BigEndian.PutUint16(icmp[4:], t.id)
	binary.BigEndian.PutUint16(icmp[6:], r.sequence)
	copy(icmp[icmpHeader:], t.cookie[:])
	if t.stamp != (Stamp{}) {
		copy(icmp[icmpHeader+cookieLen:], t.stamp.Asked[:])
	}
	packet.SetICMPChecksum(icmp)
	return packet.Header{
		TTL: r.ttl, Protocol: packet.ICMP,
		DontFragment: true, // so its identification may be 0 (RFC 6864)
		Source:       r.source, Destination: r.destination,
	}.Put(b)
}

// reply is what came back.
type reply struct {
	from     netip.Addr
	sequence uint16
	kind     byte // ICMP type
	code     byte
	size     int  // bytes of the packet
	tcp      bool // a reset; kind and code are 0
	stamped  bool // it has the stamp of an answer, or needs none
}

// parse reports whether a packet answers a probe of this token. Everything
// behind its IP header may be anything. The first fragment of an echo reply is
// enough: the way back may take smaller packets, and is proven by the peer.
func (t token) parse(b []byte) (reply, bool) {
	p, err := packet.Parse(b)
	if err == nil && p.Protocol() == packet.TCP {
		return t.parseReset(p)
	}
	if err != nil || p.Protocol() != packet.ICMP || p.LaterFragment() || len(p.Payload()) < icmpHeader {
		return reply{}, false
	}
	icmp := p.Payload()
	r := reply{from: p.Source(), kind: icmp[0], code: icmp[1], size: len(b)}
	echo := icmp
	switch r.kind {
	case packet.ICMPEchoReply:
	case packet.ICMPTimeExceeded, packet.ICMPUnreachable: // quotes the probe (RFC 792; RFC 1812 section 4.3.2.3)
		quoted := packet.Packet(icmp[icmpHeader:]) // or the beginning of one
		if len(quoted) < packet.HeaderLen || quoted.Protocol() != packet.ICMP {
			return reply{}, false
		}
		if n := quoted.HeaderLen(); n < packet.HeaderLen || len(quoted) < n {
			return reply{}, false
		}
		echo = quoted.Payload()
	default:
		return reply{}, false
	}
	if len(echo) < icmpHeader+cookieLen || binary.BigEndian.Uint16(echo[4:]) != t.id || [cookieLen]byte(echo[icmpHeader:]) != t.cookie {
		return reply{}, false
	}
	if r.kind == packet.ICMPEchoReply && !p.Fragment() && packet.Checksum(icmp) != 0 {
		return reply{}, false
	}
	r.sequence = binary.BigEndian.Uint16(echo[6:])
	stamp := echo[icmpHeader+cookieLen:]
	r.stamped = t.stamp == (Stamp{}) || len(stamp) >= stampLen && [stampLen]byte(stamp) == t.stamp.Seen
	return r, true
}
