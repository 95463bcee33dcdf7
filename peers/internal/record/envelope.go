// SPDX-License-Identifier: Apache-2.0

package record

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
// The sender's ID is derived from its key, nowhere else. A rumor is
// [version][msgRumor][record]: a record is signed by itself, and which node
// passes it on does not matter.
const (
	directHead = 1 + 1 + 16 + 16 + ed25519.PublicKeySize + 8 + 8
	directMin  = directHead + 1 + ed25519.SignatureSize

	messageDomain = "flanneld message 2\x00"
)

// Versions of messages that this node reads. 1 was flanneld 0.1's, which signed
// nothing; it has a gossip label of its own.
const (
	MessageVersion    = 2
	MessageVersionMin = 2
	MessageVersionMax = 2
)

// MaxMessageLen bounds what is decoded. A whole table of the greatest size
// allowed would be larger, but its parts travel in messages of their own.
const MaxMessageLen = 4 << 20

// Errors of messages that a driver may want to tell apart.
var (
	ErrMalformed    = errors.New("malformed message")
	ErrOtherNetwork = errors.New("message of another network")
	ErrForged       = errors.New("message not signed by its sender")
	ErrNotForUs     = errors.New("message for another node")
)

// Header says which node sent a message, and which one of the sender's it is.
type Header struct {
	From    NodeID
	Start   uint64 // the sender's
	Counter uint64 // counts the messages of that start
}

// SetHeader copies a header into the body of its message.
func (h *Header) SetHeader(from Header) { *h = from }

// Message is a message from one node to another, taken apart.
type Message struct {
	Header
	Version byte
	Kind    MessageKind
	Network NetworkID // that the message is for
	To      NodeID    // the receiver
	Key     []byte    // the sender's public key; From is derived from it
	Body    []byte    // CBOR

	signed, sig []byte
}

// Sender is the node that a message says it is from, or zero where it is a
// rumor or malformed. The signature is not checked.
func Sender(msg []byte) NodeID {
	if len(msg) < directMin || MessageKind(msg[1]) == MsgRumor {
		return NodeID{}
	}
	return NodeIDOf(msg[34 : 34+ed25519.PublicKeySize])
}

// Seal encodes a message with a body and signs it. The message's body is not
// looked at.
func (m *Message) Seal(s Signer, key ed25519.PrivateKey, body any) []byte {
	b := make([]byte, 0, 512) // most are shorter
	b = append(b, m.Version, byte(m.Kind))
	b = append(b, m.Network[:]...)
	b = append(b, m.To[:]...)
	b = append(b, m.Key...)
	b = binary.BigEndian.AppendUint64(b, m.Start)
	b = binary.BigEndian.AppendUint64(b, m.Counter)
	b = appendEncoded(b, body)
	return append(b, s.Sign(key, append([]byte(messageDomain), b...))...)
}

// OpenMessage takes a message apart. Neither signature nor counters are
// checked.
func OpenMessage(msg []byte) (Message, error) {
	if len(msg) < directMin {
		return Message{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(msg))
	}
	end := len(msg) - ed25519.SignatureSize
	m := Message{Version: msg[0], Kind: MessageKind(msg[1]), Network: NetworkID(msg[2:18]), To: NodeID(msg[18:34]),
		Key: msg[34 : 34+ed25519.PublicKeySize], Body: msg[directHead:end], signed: msg[:end], sig: msg[end:]}
	m.From = NodeIDOf(m.Key)
	m.Start, m.Counter = binary.BigEndian.Uint64(msg[66:]), binary.BigEndian.Uint64(msg[74:])
	return m, nil
}

// Verify checks that the counters are within bounds, and the signature.
func (m *Message) Verify(s Signer) error {
	switch {
	case m.Start > MaxCounter || m.Counter > MaxCounter:
		return fmt.Errorf("%w: counter above %d", ErrMalformed, uint64(MaxCounter))
	case !s.Verify(m.Key, append([]byte(messageDomain), m.signed...), m.sig):
		return ErrForged
	}
	return nil
}
