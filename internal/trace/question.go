// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// Question asks the node that holds the destination to watch for the packets of
// a trace, and what it has seen so far. The same question is asked
// before the packets are sent, and after. Bytes, big endian:
//
//	0  1  1
//	1  2  identifier of the echo requests
//	3  4  destination, IPv4
type Question struct {
	ID uint16
	To netip.Addr
}

// Sight is what a node has seen of the packets of a trace. Bytes:
//
//	0  1  1
//	1  1  bits, in the order of the fields, from the lowest on
//	2  1  length of the next, and that: name of the bridge
//
// Bytes behind these are of a later version, and are not looked at.
type Sight struct {
	Came     bool // a request came in by the overlay device or by a kernel path
	Left     bool // one left into Bridge
	Answered bool // an answer came from there
	Returned bool // one left towards the other host
	// Blind: what the kernel sends by the short-cut is not watched, so that
	// Returned stays false.
	Blind bool
	// Bridge is where the destination is; "": no bridge has its subnet.
	Bridge string
}

const (
	questionKind = 1
	questionSize = 7
	sightHead    = 3
	maxBridge    = 15 // bytes: IFNAMSIZ less the zero
)

// Encode makes the bytes of a question.
func (q Question) Encode() []byte {
	to := q.To.As4()
	return append(binary.BigEndian.AppendUint16([]byte{questionKind}, q.ID), to[:]...)
}

// ParseQuestion reads a question.
func ParseQuestion(b []byte) (q Question, ok bool) {
	if len(b) < questionSize || b[0] != questionKind {
		return q, false
	}
	return Question{ID: binary.BigEndian.Uint16(b[1:]), To: netip.AddrFrom4([4]byte(b[3:7]))}, true
}

func (s *Sight) bits() []*bool { return []*bool{&s.Came, &s.Left, &s.Answered, &s.Returned, &s.Blind} }

// Encode makes the bytes of an answer. A name that is too long is cut.
func (s Sight) Encode() []byte {
	var bits byte
	for i, bit := range s.bits() {
		if *bit {
			bits |= 1 << i
		}
	}
	name := s.Bridge[:min(len(s.Bridge), maxBridge)]
	return append([]byte{questionKind, bits, byte(len(name))}, name...)
}

// ParseSight reads an answer. The name of the bridge is printable.
func ParseSight(b []byte) (s Sight, ok bool) {
	if len(b) < sightHead || b[0] != questionKind || b[2] > maxBridge || len(b) < sightHead+int(b[2]) {
		return s, false
	}
	for i, bit := range s.bits() {
		*bit = b[1]&(1<<i) != 0
	}
	s.Bridge = string(b[sightHead : sightHead+int(b[2])])
	return s, !strings.ContainsFunc(s.Bridge, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
