// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"flanneld/internal/packet"
)

// icmpError is the type and code of an ICMP error message (RFC 792, RFC 1191).
type icmpError struct{ typ, code byte }

// answers has the drop reasons that the sender is told about. Other packets are
// no honest mistake, or came from the underlay, which gets no answers.
var answers = [reasonCount]icmpError{
	NoRoute:            {packet.ICMPUnreachable, 0},  // net unreachable
	OwnLease:           {packet.ICMPUnreachable, 1},  // host unreachable
	PeerUnreachable:    {packet.ICMPUnreachable, 1},  // host unreachable
	SendFailed:         {packet.ICMPUnreachable, 1},  // host unreachable
	NeedsFragmentation: {packet.ICMPUnreachable, 4},  // fragmentation needed and DF set, with the MTU
	TTLExpired:         {packet.ICMPTimeExceeded, 0}, // time to live exceeded in transit
}

const (
	// maxAnswer is the longest ICMP error message, IP header included: "as much
	// of the original datagram as possible without the length of the ICMP
	// datagram exceeding 576 bytes" (RFC 1812, section 4.3.2.3).
	maxAnswer = 576

	answerTTL = 64
	answerTOS = 0xc0 // precedence 6, internetwork control (RFC 1812, section 4.3.2.5)
)

// How many ICMP messages of each reason this node sends, with any number of
// lanes: as many as Linux (net.ipv4.icmp_msgs_per_sec).
const (
	answersPerSecond = 1000
	answerBurst      = 100
)

// icmpLimiter bounds the answers of all lanes, each reason for itself, so that
// packets to nowhere cannot suppress answers that teach a path MTU.
type icmpLimiter [reasonCount]*allowance

func newICMPLimiter() *icmpLimiter {
	var l icmpLimiter
	for r := range answers {
		if answers[r].typ != 0 || Reason(r) == TooLarge { // see ingress.tooLarge
			l[r] = &allowance{limiter: rate.NewLimiter(answersPerSecond, answerBurst)}
		}
	}
	return &l
}

// allow takes one answer off the allowance.
func (l *icmpLimiter) allow(r Reason, now time.Time) bool { return l[r].allow(now) }

// allowance is a rate.Limiter with a time that only runs forward. Each lane
// passes the time at which its batch began, which may lie before a time that
// another lane has passed. A rate.Limiter would then go back, and allow the
// same time twice.
type allowance struct {
	mu      sync.Mutex
	limiter *rate.Limiter
	latest  time.Time
}

func (a *allowance) allow(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.After(a.latest) {
		a.latest = now
	}
	return a.limiter.AllowN(a.latest, 1)
}

// icmpResponder writes ICMP error messages to overlay senders. It belongs to
// one lane; the message it makes is valid until the next.
type icmpResponder struct {
	source    netip.Addr // of the messages
	broadcast netip.Addr // of the lease; invalid when it has none
	memory    [maxAnswer]byte
	limit     int // of a message's length, at most maxAnswer
}

// newICMPResponder makes an icmpResponder for a node that holds lease on a
// device of this MTU. The lease's first address, the device's own, is the
// source.
func newICMPResponder(lease netip.Prefix, mtu int) icmpResponder {
	a := icmpResponder{source: lease.Masked().Addr(), limit: min(maxAnswer, mtu)}
	if lease.Bits() < 31 { // RFC 3021: /31 has no broadcast address
		a.broadcast = lastAddr(lease)
	}
	return a
}

// lastAddr is the last address of an IPv4 prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	last := binary.BigEndian.Uint32(a[:]) | uint32(uint64(1)<<(32-p.Bits())-1)
	binary.BigEndian.PutUint32(a[:], last)
	return netip.AddrFrom4(a)
}

// mayAnswer reports whether an ICMP error message about p may be sent at all
// (RFC 1812, section 4.3.2.7). p's source is in the lease, as checked before,
// and so neither loopback nor multicast nor unspecified.
func (a *icmpResponder) mayAnswer(p packet.Packet) bool {
	return !p.LaterFragment() && !p.Multicast() && p.Source() != a.broadcast && !p.ICMPError()
}

// answer makes the message. mtu is used if the message is about fragmentation.
func (a *icmpResponder) answer(about packet.Packet, kind icmpError, mtu int) packet.Packet {
	const headers = packet.HeaderLen + packet.ICMPHeaderLen
	quoted := about[:min(len(about), a.limit-headers)]
	m := a.memory[:headers+len(quoted)]
	copy(m[headers:], quoted)

	icmp := m[packet.HeaderLen:]
	clear(icmp[:packet.ICMPHeaderLen])
	icmp[0], icmp[1] = kind.typ, kind.code
	if kind == answers[NeedsFragmentation] {
		binary.BigEndian.PutUint16(icmp[6:], uint16(mtu))
	}
	packet.SetICMPChecksum(icmp)
	return packet.Header{
		TOS: answerTOS, TTL: answerTTL, Protocol: packet.ICMP,
		DontFragment: true, // so its identification may stay 0 (RFC 6864)
		Source:       a.source, Destination: about.Source(),
	}.Put(m)
}
