package core

import (
	"errors"
	"fmt"
)

// Message kinds. A message on the wire is [messageVersion][kind][CBOR body].
type messageKind uint8

const (
	msgAsk messageKind = iota + 1
	msgAnswer
	msgWithdraw
	msgRecords
	msgAck
	msgDigest
)

const messageVersion = 1

// maxMessageLen bounds what is decoded: a whole table of the greatest size
// allowed would be larger, but parts of it travel in messages of their own.
const maxMessageLen = 4 << 20

// header is in every message.
type header struct {
	Net  NetworkID `cbor:"1,keyasint"`
	From NodeID    `cbor:"2,keyasint"`
}

func (h header) network() NetworkID { return h.Net }
func (h header) sender() NodeID     { return h.From }

// ask asks a lease holder to promise a slot. Claim numbers the sender's claims;
// it grows with each, also over restarts. Messages are late, doubled and
// overtaken: what was said about an earlier claim is not about this one.
type ask struct {
	header
	Slot  Slot   `cbor:"3,keyasint"`
	Epoch uint64 `cbor:"4,keyasint"`
	Claim uint64 `cbor:"5,keyasint"`
}

type verdict uint8

const (
	promised  verdict = 1 // written down: no other claimant gets the slot
	held      verdict = 2 // somebody holds the slot; Lease says who
	taken     verdict = 3 // the slot is promised to another claimant, By
	stale     verdict = 4 // the epoch is not above Seen
	abstain   verdict = 5 // cannot promise: what was promised before is not known (state was lost)
	notHolder verdict = 6 // the asked knows of no lease of its own and has no say
)

type answer struct {
	header
	Slot    Slot    `cbor:"3,keyasint"`
	Epoch   uint64  `cbor:"4,keyasint"`
	Verdict verdict `cbor:"5,keyasint"`
	By      NodeID  `cbor:"6,keyasint"`
	Seen    uint64  `cbor:"7,keyasint"`
	Lease   []byte  `cbor:"8,keyasint"` // encoded record, with held and stale
	// Holders is a hash of the lease holders the answering node knows: where
	// it differs from the claimant's, the two compare tables first.
	Holders uint64 `cbor:"9,keyasint"`
	Claim   uint64 `cbor:"10,keyasint"` // the one that asked
	// Owed are nodes that may hold a lease for all the answering node knows: it
	// has promised them one, and could not hear what became of that.
	Owed []NodeID `cbor:"11,keyasint,omitempty"`
	// Static, with taken, is the ADDR:PORT of the host outside of the gossip
	// that the slot is reserved for; "" for any other reason.
	Static string `cbor:"12,keyasint,omitempty"`
}

// withdraw gives promises back: of the slot, up to and including the claim.
type withdraw struct {
	header
	Slot  Slot   `cbor:"3,keyasint"`
	Claim uint64 `cbor:"4,keyasint"`
}

// records carries encoded records. Mask, where it is not zero, asks for the
// receiver's records of those parts; Ack asks for an acknowledgement of a lease.
type records struct {
	header
	Records [][]byte `cbor:"3,keyasint"`
	Mask    uint32   `cbor:"4,keyasint"`
	AckSlot Slot     `cbor:"5,keyasint"`
}

// ack says that a lease record of that slot and epoch has been taken in.
type ack struct {
	header
	Slot  Slot   `cbor:"3,keyasint"`
	Epoch uint64 `cbor:"4,keyasint"`
}

// digest carries the hash of every part of the sender's table.
type digestMsg struct {
	header
	Parts []byte `cbor:"3,keyasint"` // 8 bytes each, most significant first
}

// Errors of Receive and Merge that a driver may want to tell apart.
var (
	ErrMalformed    = errors.New("core: malformed message")
	ErrOtherNetwork = errors.New("core: message of another network")
	ErrNoNetwork    = errors.New("core: not in a network yet")
)

func encodeMessage(kind messageKind, body any) []byte {
	b := make([]byte, 2, 384) // most are shorter
	b[0], b[1] = messageVersion, byte(kind)
	return mustAppend(b, body)
}

func splitMessage(msg []byte) (messageKind, []byte, error) {
	switch {
	case len(msg) < 3 || len(msg) > maxMessageLen:
		return 0, nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(msg))
	case msg[0] != messageVersion:
		return 0, nil, fmt.Errorf("%w: version %d, this node knows %d", ErrMalformed, msg[0], messageVersion)
	}
	return messageKind(msg[1]), msg[2:], nil
}

// decodeBody decodes a message's body and checks its network.
func decodeBody[M interface{ network() NetworkID }](net NetworkID, body []byte) (M, error) {
	var m M
	if err := decoder.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if m.network() != net {
		return m, ErrOtherNetwork
	}
	return m, nil
}
