package peers

import "fmt"

// gossipLabel stands in front of every datagram and stream. It is not that of
// flanneld 0.1, whose format differs in everything behind it.
const (
	gossipLabel = "flanneld 2"
	oldLabel    = "flanneld" // of 0.1
)

// Versions of the protocol behind the label that this flanneld speaks. Members
// announce theirs in their meta; two use the highest that both have.
const (
	protocolMin = 2
	protocolMax = 2
)

// versions are the protocol versions that a program speaks, both ends included.
type versions struct{ min, max uint8 }

var ownVersions = versions{protocolMin, protocolMax}

// common is the highest version that both speak; ok is false where there is none.
func (v versions) common(other versions) (version uint8, ok bool) {
	version = min(v.max, other.max)
	return version, version >= max(v.min, other.min)
}

func (v versions) String() string {
	if v.min == v.max {
		return fmt.Sprintf("version %d", v.min)
	}
	return fmt.Sprintf("versions %d to %d", v.min, v.max)
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
// of memberlist's (protocol versions 1 to 5), or one of ours: see question.go.
// memberlist's own label, checksum, encryption and compression are not used.
//
// A plain stream goes on with frames: length of 4 bytes, content. A sealed one
// goes on with a salt and with frames whose content is cut into pieces of up to
// 16 KiB, each sealed. Each side sends one frame, which is one message of
// memberlist's.
const (
	labelMark  = 244
	modePlain  = 0
	modeSealed = 1

	envelopeSize = 2 + len(gossipLabel) + 1
)

// envelope begins a datagram or a direction of a stream.
func envelope(mode byte) []byte {
	b := make([]byte, 0, packetSize)
	b = append(b, labelMark, byte(len(gossipLabel)))
	b = append(b, gossipLabel...)
	return append(b, mode)
}

// checkLabel looks at the first bytes of a datagram or stream; at least
// envelopeSize of them, or as many as there are.
func checkLabel(b []byte) error {
	own := envelope(0)[:envelopeSize-1]
	if len(b) >= envelopeSize && string(b[:len(own)]) == string(own) {
		return nil
	}
	if n := 2 + len(oldLabel); len(b) >= n && b[0] == labelMark && int(b[1]) == len(oldLabel) && string(b[2:n]) == oldLabel {
		return errOldFormat
	}
	return errForeign
}
