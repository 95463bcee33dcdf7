// SPDX-License-Identifier: Apache-2.0

package seal

import "encoding/binary"

// Lengths of handshake messages, in bytes. Each answer is shorter than its
// question, so no sender can make a node send more than it received.
const (
	noiseTag = 16

	initiationSize  = 24 + initiationNoise + 2*macSize  // 184
	responseSize    = 12 + responseNoise + 2*macSize    // 124
	cookieReplySize = 8 + cookieNonce + cookieSize + 16 // 64

	initiationNoise = keySize + keySize + noiseTag + contentSize + noiseTag
	responseNoise   = keySize + contentSize + noiseTag
	contentSize     = 32

	cookieNonce = 24 // of XChaCha20-Poly1305
)

// initiation is message 1:
//
//	0       type
//	1       suite
//	2-3     zero
//	4-7     index of the initiator's session
//	8-23    node ID of the initiator
//	24-151  Noise message with a content
//	152-167 first code
//	168-183 second code, zero without a cookie
//
// The node ID stands outside, so that the receiver knows the peer, and can
// refuse, before any Diffie-Hellman operation. Noise authenticates it by the
// prologue.
type initiation struct {
	suite Suite
	index uint32
	from  NodeID
	noise []byte // borrowed from the message
}

func parseInitiation(b []byte) (m initiation, ok bool) {
	if len(b) != initiationSize || b[0] != typeInitiation || b[2] != 0 || b[3] != 0 {
		return m, false
	}
	m.suite = Suite(b[1])
	m.index = binary.BigEndian.Uint32(b[4:])
	copy(m.from[:], b[8:])
	m.noise = b[24 : 24+initiationNoise]
	return m, m.suite.known()
}

// head appends what stands in front of the Noise message.
func (m *initiation) head(b []byte) []byte {
	b = append(b, typeInitiation, byte(m.suite), 0, 0)
	b = binary.BigEndian.AppendUint32(b, m.index)
	return append(b, m.from[:]...)
}

// response is message 2:
//
//	0       type
//	1-3     zero
//	4-7     index of the responder's session
//	8-11    index of the initiator's session
//	12-91   Noise message with a content
//	92-107  first code
//	108-123 second code, zero
type response struct {
	index uint32
	to    uint32
	noise []byte // borrowed from the message
}

func parseResponse(b []byte) (m response, ok bool) {
	if len(b) != responseSize || b[0] != typeResponse || b[1] != 0 || b[2] != 0 || b[3] != 0 {
		return m, false
	}
	m.index = binary.BigEndian.Uint32(b[4:])
	m.to = binary.BigEndian.Uint32(b[8:])
	m.noise = b[12 : 12+responseNoise]
	return m, true
}

func (m *response) head(b []byte) []byte {
	b = append(b, typeResponse, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, m.index)
	return binary.BigEndian.AppendUint32(b, m.to)
}

// cookieReply answers message 1 of a sender that must first prove its address:
//
//	0       type
//	1-3     zero
//	4-7     index of the initiator's session
//	8-31    nonce
//	32-63   cookie, sealed with XChaCha20-Poly1305 and the first code of message 1
type cookieReply struct {
	to     uint32
	nonce  [cookieNonce]byte
	sealed [cookieSize + 16]byte
}

func parseCookieReply(b []byte) (m cookieReply, ok bool) {
	if len(b) != cookieReplySize || b[0] != typeCookie || b[1] != 0 || b[2] != 0 || b[3] != 0 {
		return m, false
	}
	m.to = binary.BigEndian.Uint32(b[4:])
	copy(m.nonce[:], b[8:])
	copy(m.sealed[:], b[8+cookieNonce:])
	return m, true
}

func (m *cookieReply) append(b []byte) []byte {
	b = append(b, typeCookie, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, m.to)
	b = append(b, m.nonce[:]...)
	return append(b, m.sealed[:]...)
}

// content is what both messages carry inside, encrypted:
//
//	0-7     start number of the sender
//	8-15    counter of its initiations since that start; in message 2 zero
//	16-23   instance of the sender
//	24      its sending lanes
//	25-31   zero; a reader leaves what it does not know alone
type content struct {
	start    uint64
	counter  uint64
	instance uint64
	lanes    uint8
}

func (c *content) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, c.start)
	b = binary.BigEndian.AppendUint64(b, c.counter)
	b = binary.BigEndian.AppendUint64(b, c.instance)
	return append(b, c.lanes, 0, 0, 0, 0, 0, 0, 0)
}

func parseContent(b []byte) (c content, ok bool) {
	if len(b) != contentSize {
		return c, false
	}
	c.start = binary.BigEndian.Uint64(b)
	c.counter = binary.BigEndian.Uint64(b[8:])
	c.instance = binary.BigEndian.Uint64(b[16:])
	c.lanes = b[24]
	return c, c.lanes >= 1 && c.lanes <= MaxLanes
}
