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

// Errors of Receive and Merge that a driver may want to tell apart.
var (
	ErrMalformed    = errors.New("core: malformed message")
	ErrOtherNetwork = errors.New("core: message of another network")
	ErrNoNetwork    = errors.New("core: not in a network yet")
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

// direct is a message from one node to another, taken apart.
type direct struct {
	header
	kind messageKind
	body []byte
}

// Sender is the node that a message says it is from, or zero where it is a
// rumour or malformed. The signature is not checked.
func Sender(msg []byte) NodeID {
	if len(msg) < directMin || messageKind(msg[1]) == msgRumour {
		return NodeID{}
	}
	return nodeIDOf(msg[34 : 34+ed25519.PublicKeySize])
}

// seal encodes and signs a message to a node.
func (c *Core) seal(to NodeID, kind messageKind, body any) []byte {
	c.sent = next(c.sent)
	b := make([]byte, 0, 512) // most are shorter
	b = append(b, c.versionFor(to), byte(kind))
	b = append(b, c.table.netID[:]...)
	b = append(b, to[:]...)
	b = append(b, c.cfg.Identity.public()...)
	b = binary.BigEndian.AppendUint64(b, c.vault.Start)
	b = binary.BigEndian.AppendUint64(b, c.sent)
	b = mustAppend(b, body)
	return append(b, c.cfg.signer.sign(c.cfg.Identity.Key, append([]byte(messageDomain), b...))...)
}

// versionFor is the highest version that both nodes read.
func (c *Core) versionFor(to NodeID) byte {
	if n := c.table.nodes[to]; n != nil && !n.former {
		return min(c.cfg.maxVersion, max(n.rec.ProtocolMax, messageVersionMin))
	}
	return messageVersionMin
}

// checkVersion refuses what this node does not read.
func (c *Core) checkVersion(msg []byte) error {
	switch {
	case len(msg) < 3 || len(msg) > maxMessageLen:
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(msg))
	case msg[0] < messageVersionMin || msg[0] > c.cfg.maxVersion:
		return fmt.Errorf("%w: version %d, this node knows %d to %d", ErrMalformed, msg[0], messageVersionMin, c.cfg.maxVersion)
	}
	return nil
}

// open takes a message apart and checks that it is for this node, and from the
// node that it names.
func (c *Core) open(msg []byte) (direct, error) {
	if len(msg) < directMin {
		return direct{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(msg))
	}
	key := msg[34 : 34+ed25519.PublicKeySize]
	d := direct{kind: messageKind(msg[1]), body: msg[directHead : len(msg)-ed25519.SignatureSize]}
	d.From = nodeIDOf(key)
	d.Start, d.Counter = binary.BigEndian.Uint64(msg[66:]), binary.BigEndian.Uint64(msg[74:])
	switch signed := msg[:len(msg)-ed25519.SignatureSize]; {
	case NetworkID(msg[2:18]) != c.table.netID:
		return direct{}, ErrOtherNetwork
	case NodeID(msg[18:34]) != c.id:
		return direct{}, ErrNotForUs
	case d.From == c.id:
		return direct{}, nil // our own echo, or a clone's
	case d.Start > maxCounter || d.Counter > maxCounter:
		return direct{}, fmt.Errorf("%w: counter above %d", ErrMalformed, uint64(maxCounter))
	case !c.cfg.signer.verify(key, append([]byte(messageDomain), signed...), msg[len(signed):]):
		return direct{}, ErrForged
	}
	return d, nil
}
