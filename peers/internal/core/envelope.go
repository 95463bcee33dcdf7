package core

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

// A message from one node to another, big endian:
//
//	0    1  version
//	1    1  kind
//	2    16 network ID
//	18   16 receiver's node ID
//	34   32 sender's public key (Ed25519)
//	66   8  sender's start
//	74   8  number of the message, counted within the start
//	82   .. body (CBOR)
//	-64  64 signature over the domain string and all before it
//
// The sender's ID is derived from its key, nowhere else. A rumour is
// [version][msgRumour][record]: a record is signed by itself, and which node
// passes it on does not matter.
const (
	directHead = 1 + 1 + 16 + 16 + ed25519.PublicKeySize + 8 + 8
	directMin  = directHead + 1 + ed25519.SignatureSize

	messageDomain = "flanneld message 2\x00"
)

// Versions of messages that this node reads. 1 was flanneld 0.1's, which signed
// nothing; it has a gossip label of its own.
const (
	messageVersion    = 2
	messageVersionMin = 2
	messageVersionMax = 2
)

// maxMessageLen bounds what is decoded. A whole table of the greatest size
// allowed would be larger, but its parts travel in messages of their own.
const maxMessageLen = 4 << 20

// Errors of messages that a driver may want to tell apart.
var (
	ErrMalformed    = errors.New("core: malformed message")
	ErrOtherNetwork = errors.New("core: message of another network")
	ErrForged       = errors.New("core: message not signed by its sender")
	ErrNotForUs     = errors.New("core: message for another node")
)

// header says which node sent a message, and which one of the sender's it is.
type header struct {
	From    NodeID
	Start   uint64
	Counter uint64
}

func (h *header) setHeader(from header) { *h = from }

// message is a message from one node to another, taken apart.
type message struct {
	header
	version byte
	kind    messageKind
	network NetworkID
	to      NodeID
	key     []byte // the sender's public key; From is derived from it
	body    []byte // CBOR

	signed, sig []byte
}

// Sender is the node that a message says it is from, or zero where it is a
// rumour or malformed. The signature is not checked.
func Sender(msg []byte) NodeID {
	if len(msg) < directMin || messageKind(msg[1]) == msgRumour {
		return NodeID{}
	}
	return NodeIDOf(msg[34 : 34+ed25519.PublicKeySize])
}

// seal encodes a message with a body and signs it. The message's body is not
// looked at.
func (m *message) seal(s signer, key ed25519.PrivateKey, body any) []byte {
	b := make([]byte, 0, 512) // most are shorter
	b = append(b, m.version, byte(m.kind))
	b = append(b, m.network[:]...)
	b = append(b, m.to[:]...)
	b = append(b, m.key...)
	b = binary.BigEndian.AppendUint64(b, m.Start)
	b = binary.BigEndian.AppendUint64(b, m.Counter)
	b = mustAppend(b, body)
	return append(b, s.sign(key, append([]byte(messageDomain), b...))...)
}

// openMessage takes a message apart. Neither signature nor counters are checked.
func openMessage(msg []byte) (message, error) {
	if len(msg) < directMin {
		return message{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(msg))
	}
	end := len(msg) - ed25519.SignatureSize
	m := message{version: msg[0], kind: messageKind(msg[1]), network: NetworkID(msg[2:18]), to: NodeID(msg[18:34]),
		key: msg[34 : 34+ed25519.PublicKeySize], body: msg[directHead:end], signed: msg[:end], sig: msg[end:]}
	m.From = NodeIDOf(m.key)
	m.Start, m.Counter = binary.BigEndian.Uint64(msg[66:]), binary.BigEndian.Uint64(msg[74:])
	return m, nil
}

// verify checks that the counters are within bounds, and the signature.
func (m *message) verify(s signer) error {
	switch {
	case m.Start > maxCounter || m.Counter > maxCounter:
		return fmt.Errorf("%w: counter above %d", ErrMalformed, uint64(maxCounter))
	case !s.verify(m.key, append([]byte(messageDomain), m.signed...), m.sig):
		return ErrForged
	}
	return nil
}
