// SPDX-License-Identifier: Apache-2.0

package route

import (
	"slices"

	"flanneld/internal/packet"
)

// Reason is why a packet was dropped. Every dropped packet is counted under
// exactly one reason.
type Reason uint8

// The reasons. Each comment has the direction in which a packet is dropped.
const (
	Forwarded          Reason = iota // not dropped
	TooShort                         // both: shorter than an IPv4 header
	IPv6                             // both: the overlay carries IPv4 only
	NotIP                            // both: neither version 4 nor 6
	BadLength                        // both: header length or total length lies
	BadChecksum                      // both: of the IP header
	TooLarge                         // ingress: larger than the device's MTU
	UnknownSender                    // ingress: the outer source is no peer's endpoint
	ForeignSource                    // egress: inner source not in this node's lease; ingress: not in the sender's
	ForeignDestination               // ingress: inner destination not in this node's lease
	Multicast                        // egress: multicast or limited broadcast
	NoRoute                          // egress: in no lease; answered
	OwnLease                         // egress: in this node's lease, but the host has no route for it; answered
	PeerUnreachable                  // egress: the lease's holder is dead; answered
	TTLExpired                       // egress: answered
	NeedsFragmentation               // egress: too large for the path, and DF is set; answered
	SendFailed                       // egress: the kernel refused the datagram; answered
	SendBufferFull                   // egress: the socket's send buffer stayed full
	Congestion                       // ingress: marked by the underlay, and the transport does not understand marks
	ReceiveOverflow                  // ingress: the socket's receive buffer was full
	DeviceDown                       // ingress
	WriteFailed                      // ingress: the kernel refused the packet
	NoSession                        // egress, sealed network: too many packets waited for a handshake, or the peer has no key
	NotSealed                        // ingress, sealed network: not a sealed datagram
	UnknownSession                   // ingress, sealed network: of no session of this node
	Replayed                         // ingress, sealed network: came before, or is too old
	Forged                           // ingress, sealed network: changed on its way, or by another sender
	SessionExpired                   // ingress, sealed network: of a session that is over
	HandshakeOverflow                // ingress, sealed network: too many messages of handshakes at once
	reasonCount
)

// reasonOf is the reason for an error of packet.Parse.
func reasonOf(err error) Reason {
	switch err {
	case packet.ErrShort:
		return TooShort
	case packet.ErrIPv6:
		return IPv6
	case packet.ErrVersion:
		return NotIP
	case packet.ErrChecksum:
		return BadChecksum
	}
	return BadLength
}

// egressReasons and ingressReasons are what Stats lists, in this order.
var (
	egressReasons = []Reason{TooShort, IPv6, NotIP, BadLength, BadChecksum, ForeignSource, Multicast, NoRoute,
		OwnLease, PeerUnreachable, TTLExpired, NeedsFragmentation, SendFailed, SendBufferFull, NoSession}
	ingressReasons = []Reason{TooShort, IPv6, NotIP, BadLength, BadChecksum, TooLarge, UnknownSender, ForeignSource,
		ForeignDestination, Congestion, ReceiveOverflow, DeviceDown, WriteFailed,
		NotSealed, UnknownSession, Replayed, Forged, SessionExpired, HandshakeOverflow}
)

// Reasons lists the reasons for which packets are dropped, by direction, in the
// order of Stats.
func Reasons() (egress, ingress []Reason) {
	return slices.Clone(egressReasons), slices.Clone(ingressReasons)
}

var reasonNames = [reasonCount]string{
	Forwarded:          "forwarded",
	TooShort:           "too-short",
	IPv6:               "ipv6",
	NotIP:              "not-ip",
	BadLength:          "bad-length",
	BadChecksum:        "bad-checksum",
	TooLarge:           "too-large",
	UnknownSender:      "unknown-sender",
	ForeignSource:      "foreign-source",
	ForeignDestination: "foreign-destination",
	Multicast:          "multicast",
	NoRoute:            "no-route",
	OwnLease:           "own-lease",
	PeerUnreachable:    "peer-unreachable",
	TTLExpired:         "ttl-expired",
	NeedsFragmentation: "needs-fragmentation",
	SendFailed:         "send-failed",
	SendBufferFull:     "send-buffer-full",
	Congestion:         "congestion",
	ReceiveOverflow:    "receive-overflow",
	DeviceDown:         "device-down",
	WriteFailed:        "write-failed",
	NoSession:          "no-session",
	NotSealed:          "not-sealed",
	UnknownSession:     "unknown-session",
	Replayed:           "replayed",
	Forged:             "forged",
	SessionExpired:     "session-expired",
	HandshakeOverflow:  "handshake-overflow",
}

// refusal reports whether a packet dropped for this reason should not have come
// at all. Other packets are dropped because of the state of the paths or the
// host.
func (r Reason) refusal() bool {
	switch r {
	case Forwarded, NeedsFragmentation, SendFailed, SendBufferFull, Congestion, ReceiveOverflow, DeviceDown, WriteFailed, NoSession:
		return false
	}
	return true
}

// String is the reason's stable name: lower case, words joined by hyphens.
func (r Reason) String() string {
	if r >= reasonCount {
		return "unknown"
	}
	return reasonNames[r]
}

// MarshalText returns String, for JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
