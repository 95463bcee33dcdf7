// SPDX-License-Identifier: Apache-2.0

package record

import "fmt"

// MessageKind says what the body of a message is.
type MessageKind uint8

// The kinds of messages; the bodies have the same names.
const (
	MsgAsk MessageKind = iota + 1
	MsgAnswer
	MsgWithdraw
	MsgRecords
	MsgAck
	MsgDigest
	MsgRumor // one record, for all nodes; see envelope.go
)

// Ask asks a lease holder to promise a slot. Claim numbers the sender's claims;
// it grows with each, also over restarts. Messages are late, doubled and
// overtaken: what was said about an earlier claim is not about this one.
type Ask struct {
	Header  `cbor:"-"`
	Slot    Slot    `cbor:"1,keyasint"`
	Epoch   uint64  `cbor:"2,keyasint"`
	Claim   ClaimID `cbor:"3,keyasint"`
	Ordinal uint64  `cbor:"4,keyasint"` // of the lease to be; see LeaseRecord
	Pinned  bool    `cbor:"5,keyasint"`
	// Node and Cookie are sent to a holder that has asked for them: the
	// sender's node record, and what came with verdict unproven.
	Node   []byte `cbor:"6,keyasint,omitempty"`
	Cookie []byte `cbor:"7,keyasint,omitempty"`
}

// Verdict is what a holder answers to a claim.
type Verdict uint8

// The verdicts. Only Promised is a vote for the claim.
const (
	Promised  Verdict = 1 // written down: no other claimant gets the slot
	Held      Verdict = 2 // another node holds the slot; Lease says which
	Taken     Verdict = 3 // the slot is promised to another claimant, By
	Stale     Verdict = 4 // the epoch is not above Seen, or the ordinal is too low
	Abstain   Verdict = 5 // cannot promise: what was promised before is not known (state was lost)
	NotHolder Verdict = 6 // the asked knows of no lease of its own and has no say
	Unproven  Verdict = 7 // ask again with Cookie and the node record: the asker is no member here yet
	Crowded   Verdict = 8 // too many leases at the asker's underlay address, or too many new ones at all
)

// Answer answers an ask.
type Answer struct {
	Header  `cbor:"-"`
	Slot    Slot    `cbor:"1,keyasint"`
	Epoch   uint64  `cbor:"2,keyasint"`
	Claim   ClaimID `cbor:"3,keyasint"` // the one that asked
	Verdict Verdict `cbor:"4,keyasint"`
	By      NodeID  `cbor:"5,keyasint,omitzero"`
	Seen    uint64  `cbor:"6,keyasint,omitempty"`
	Lease   []byte  `cbor:"7,keyasint,omitempty"` // encoded record, with held and stale
	// Holders is a hash of the lease holders the answering node knows:
	// where it differs from the claimant's, the two compare tables first.
	Holders uint64 `cbor:"8,keyasint"`
	// Owed are nodes that may hold a lease for all the answering node
	// knows. It has promised them one, and could not hear the outcome.
	PossibleHolders []NodeID `cbor:"9,keyasint,omitempty"`
	// Voucher is the signature of a promise, see voucher.go.
	Voucher []byte `cbor:"10,keyasint,omitempty"`
	Cookie  []byte `cbor:"11,keyasint,omitempty"` // with unproven
	// Reason says why a slot is not promised, for people; printable, at
	// most maxReason bytes.
	Reason string `cbor:"12,keyasint,omitempty"`
	// Static, with taken, is the ADDR:PORT of the host outside of the
	// gossip that the slot is reserved for; "" for any other reason.
	Static string `cbor:"13,keyasint,omitempty"`
}

// MaxReason bounds Answer.Reason, in bytes.
const MaxReason = 200

// Withdraw gives promises back: of the slot, up to and including the claim.
type Withdraw struct {
	Header `cbor:"-"`
	Slot   Slot    `cbor:"1,keyasint"`
	Claim  ClaimID `cbor:"2,keyasint"`
}

// Records carries encoded records. Mask, where it is not zero, asks for the
// receiver's records of the parts in it. AckSlot, where it is not zero, asks
// for an acknowledgement of that slot's lease. The first subnet's lease gets
// none, and is confirmed when the wait for acknowledgements is over.
type Records struct {
	Header  `cbor:"-"`
	Records [][]byte `cbor:"1,keyasint"`
	Mask    uint32   `cbor:"2,keyasint,omitempty"`
	AckSlot Slot     `cbor:"3,keyasint,omitempty"`
}

// Ack says that a lease record of that slot and epoch has been taken in.
type Ack struct {
	Header `cbor:"-"`
	Slot   Slot   `cbor:"1,keyasint"`
	Epoch  uint64 `cbor:"2,keyasint"`
}

// DigestMessage carries the hash of every part of the sender's table.
type DigestMessage struct {
	Header `cbor:"-"`
	Parts  []byte `cbor:"1,keyasint"` // 8 bytes each, most significant first
}

// EncodeRumor makes the message that announces a record to all nodes.
func EncodeRumor(raw []byte) []byte {
	return append([]byte{MessageVersion, byte(MsgRumor)}, raw...)
}

// DecodeBody decodes a message's body.
func DecodeBody[M any](body []byte) (M, error) {
	var m M
	if err := decoder.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return m, nil
}
