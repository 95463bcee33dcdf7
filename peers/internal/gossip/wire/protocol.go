// SPDX-License-Identifier: Apache-2.0

package wire

import "fmt"

// label stands in front of every datagram and stream. It is not that of
// flanneld 0.1: the format differs in everything behind it.
const (
	label    = "flanneld 2"
	oldLabel = "flanneld" // of 0.1
)

// Versions of the protocol behind the label that this flanneld speaks. Members
// announce theirs in their meta; two use the highest that both have.
const (
	protocolMin = 2
	ProtocolMax = QuestionVersion
)

// Versions is a range of protocol versions that a program speaks, both ends
// included.
type Versions struct{ Min, Max uint8 }

// OwnVersions is what this program speaks.
var OwnVersions = Versions{protocolMin, ProtocolMax}

// Common returns the highest version that both speak; ok is false where there
// is none.
func (v Versions) Common(other Versions) (version uint8, ok bool) {
	version = min(v.Max, other.Max)
	return version, version >= max(v.Min, other.Min)
}

// String returns "version 2" or "versions 2 to 3".
func (v Versions) String() string {
	if v.Min == v.Max {
		return fmt.Sprintf("version %d", v.Min)
	}
	return fmt.Sprintf("versions %d to %d", v.Min, v.Max)
}

// The envelope of datagrams and of each direction of a stream, big endian:
//
//	0   1  244, memberlist's type for a label
//	1   1  length of the label
//	2   n  the label
//	..  1  mode: 0 plain, 1 sealed
//
// A plain datagram goes on with its message. A sealed one goes on with a salt
// of 24 bytes and the message in AES-256-GCM, see seal.go. The message is one
// of memberlist's (protocol versions 1 to 5), or one of ours: see proof.go.
// memberlist's own label, checksum, encryption and compression are not used.
//
// A plain stream goes on with frames: length of 4 bytes, content. A sealed one
// goes on with a salt and with frames. Their content is cut into pieces of up
// to 16 KiB, each sealed. Each side sends one frame, which is one message of
// memberlist's.
const (
	labelMark  = 244
	ModePlain  = 0
	ModeSealed = 1

	EnvelopeSize = 2 + len(label) + 1
	PacketSize   = 1400 // bytes: what a datagram of ours may hold, envelope and all
)

// Envelope returns the beginning of a datagram, or of one direction of a
// stream, with room for the rest of a datagram behind it.
func Envelope(mode byte) []byte {
	b := make([]byte, 0, PacketSize)
	b = append(b, labelMark, byte(len(label)))
	b = append(b, label...)
	return append(b, mode)
}

// EncodeOldPing makes the beginning of a stream to which a node of flanneld 0.1
// has an answer.
func EncodeOldPing() []byte {
	b := append([]byte{labelMark, byte(len(oldLabel))}, oldLabel...)
	return append(b, Ping{Seq: 1}.Encode()...)
}

// CheckLabel looks at the first [EnvelopeSize] bytes of a datagram or stream,
// or at as many as there are. Its errors are [ErrOldFormat] and [ErrForeign].
func CheckLabel(b []byte) error {
	own := Envelope(0)[:EnvelopeSize-1]
	if len(b) >= EnvelopeSize && string(b[:len(own)]) == string(own) {
		return nil
	}
	if n := 2 + len(oldLabel); len(b) >= n && b[0] == labelMark && int(b[1]) == len(oldLabel) && string(b[2:n]) == oldLabel {
		return ErrOldFormat
	}
	return ErrForeign
}
