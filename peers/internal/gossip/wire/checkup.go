// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"net/netip"
	"time"

	"flanneld/peers/internal/record"
)

// With a checkup, a node asks another one what of the gossip port works, and
// what time it is there. It is a user message, as a frame is, big endian:
//
//	0   1  kind: question or answer
//	1   16 node ID of the sender
//	17  16 nonce of the question, random
//	33  1  way by which the question was sent: 0 datagram, 1 stream
//
// A question adds where the answers are to go:
//
//	34  6  gossip endpoint of the sender, IPv4 address and port
//
// The receiver answers by both ways, and each answer adds:
//
//	34  1  way by which the answer was sent
//	35  8  clock of the sender, nanoseconds since 1970 (UTC)
//	43  1  length of the next, and that: version of the program
//	..  1  length of the next, and that: state of its data path to the asker
//	..  4  IPv4 address of the asker's stray packets, 0.0.0.0 for none; an
//	       older version ends before it
//
// So a question by datagram that is answered by stream alone shows that
// datagrams reach the other node, and that none comes back. Bytes behind these
// are of a later version, and are not looked at. Nothing is signed: an answer
// is for people, and no decision stands on it. The nonce keeps out answers of
// programs that have not read the question.
const (
	checkupQuestion = 2
	checkupAnswer   = 3

	checkupHead  = 1 + 16 + NonceSize + 1
	questionSize = checkupHead + 4 + 2
	answerHead   = checkupHead + 1 + 8
	// maxCheckupText bounds each text of an answer, in bytes.
	maxCheckupText = 64
)

// Way is how a checkup travels.
type Way uint8

// The ways of a checkup.
const (
	ByDatagram Way = 0
	ByStream   Way = 1
)

// Checkup is a question or the answer to one.
type Checkup struct {
	From   record.NodeID
	Nonce  [NonceSize]byte
	Asked  Way            // how the question was sent
	At     netip.AddrPort // of a question: the sender's gossip, IPv4
	Answer bool           // the rest is of an answer
	Way    Way            // how the answer was sent
	Clock  time.Time
	// Version and Path are printable ASCII, at most 64 bytes each.
	Version, Path string
	// Stray is an IPv4 address, from which packets of the asker have come, and
	// which is no node's; invalid for none.
	Stray netip.Addr
}

// Encode makes the message. Texts that are too long are cut.
func (c Checkup) Encode() []byte {
	b := make([]byte, 0, answerHead+2+2*maxCheckupText+4)
	kind := byte(checkupQuestion)
	if c.Answer {
		kind = checkupAnswer
	}
	b = append(append(append(b, kind), c.From[:]...), c.Nonce[:]...)
	b = append(b, byte(c.Asked))
	if !c.Answer {
		addr := c.At.Addr().As4()
		return binary.BigEndian.AppendUint16(append(b, addr[:]...), c.At.Port())
	}
	b = append(b, byte(c.Way))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Clock.UnixNano()))
	for _, text := range []string{c.Version, c.Path} {
		text = text[:min(len(text), maxCheckupText)]
		b = append(append(b, byte(len(text))), text...)
	}
	stray := netip.IPv4Unspecified()
	if c.Stray.Is4() {
		stray = c.Stray
	}
	return append(b, stray.AsSlice()...)
}

// IsCheckup reports whether a user message is a checkup by its kind.
func IsCheckup(b []byte) bool {
	return len(b) > 0 && (b[0] == checkupQuestion || b[0] == checkupAnswer)
}

// ParseCheckup reads a checkup.
func ParseCheckup(b []byte) (c Checkup, ok bool) {
	if !IsCheckup(b) || len(b) < checkupHead || b[checkupHead-1] > byte(ByStream) {
		return Checkup{}, false
	}
	c = Checkup{
		From: record.NodeID(b[1:17]), Nonce: [NonceSize]byte(b[17:]), Asked: Way(b[checkupHead-1]), Answer: b[0] == checkupAnswer,
	}
	if c.From.IsZero() {
		return Checkup{}, false
	}
	if !c.Answer {
		if len(b) < questionSize {
			return Checkup{}, false
		}
		c.At = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[checkupHead:])), binary.BigEndian.Uint16(b[checkupHead+4:]))
		return c, true
	}
	if len(b) < answerHead || b[checkupHead] > byte(ByStream) {
		return Checkup{}, false
	}
	c.Way = Way(b[checkupHead])
	c.Clock = time.Unix(0, int64(binary.BigEndian.Uint64(b[checkupHead+1:])))
	rest := b[answerHead:]
	for _, text := range []*string{&c.Version, &c.Path} {
		if *text, rest, ok = readText(rest); !ok {
			return Checkup{}, false
		}
	}
	if len(rest) == 0 {
		return c, true
	}
	if len(rest) < 4 {
		return Checkup{}, false
	}
	if stray := netip.AddrFrom4([4]byte(rest)); !stray.IsUnspecified() {
		c.Stray = stray
	}
	return c, true
}

// readText reads a text with its length in front.
func readText(b []byte) (text string, rest []byte, ok bool) {
	if len(b) == 0 || int(b[0]) > maxCheckupText || len(b) < 1+int(b[0]) {
		return "", nil, false
	}
	end := 1 + int(b[0])
	for _, c := range b[1:end] {
		if c <= ' ' || c >= 0x7f {
			return "", nil, false
		}
	}
	return string(b[1:end]), b[end:], true
}
