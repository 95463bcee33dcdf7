// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/fxamacker/cbor/v2"
)

// Records and messages in flanneld's wire format. An attacker can write
// anything into them, but it cannot forge signatures.

// Kinds of records.
const (
	recordNode   = 1
	recordLease  = 2
	recordForget = 3
)

// leaseRecord says which node holds a subnet, or that it is free.
type leaseRecord struct {
	Slot     uint32   `cbor:"1,keyasint"`
	Epoch    uint64   `cbor:"2,keyasint"`
	Holder   [16]byte `cbor:"3,keyasint"`
	Pinned   bool     `cbor:"4,keyasint"`
	Ordinal  uint64   `cbor:"5,keyasint"`
	Electors uint32   `cbor:"6,keyasint"`
	Promises uint32   `cbor:"7,keyasint"`
	Key      []byte   `cbor:"8,keyasint"`
	Claim    uint64   `cbor:"9,keyasint,omitempty"`
	Vouchers []byte   `cbor:"10,keyasint,omitempty"`
	Freed    [16]byte `cbor:"11,keyasint"`
}

// endpoint is an address in a node record.
type endpoint struct {
	_        struct{} `cbor:",toarray"`
	Addr     netip.AddrPort
	Kind     uint8
	Priority uint8
}

// nodeRecord is what a node says of itself.
type nodeRecord struct {
	Key         []byte     `cbor:"1,keyasint"`
	Start       uint64     `cbor:"2,keyasint"`
	Version     uint64     `cbor:"3,keyasint"`
	Instance    uint64     `cbor:"4,keyasint"`
	Name        string     `cbor:"5,keyasint"`
	Endpoints   []endpoint `cbor:"6,keyasint"`
	Gossip      []endpoint `cbor:"7,keyasint"`
	MTU         uint16     `cbor:"8,keyasint"`
	Left        bool       `cbor:"10,keyasint"`
	ProtocolMin uint8      `cbor:"12,keyasint"`
	ProtocolMax uint8      `cbor:"13,keyasint"`
}

// forgetRecord removes a node.
type forgetRecord struct {
	Node  [16]byte `cbor:"1,keyasint"`
	Start uint64   `cbor:"2,keyasint"`
	Key   []byte   `cbor:"3,keyasint"`
	Faded bool     `cbor:"4,keyasint,omitempty"`
}

// signedRecord is a record as it travels.
type signedRecord struct {
	_       struct{} `cbor:",toarray"`
	Kind    uint8
	Payload []byte
	Sig     []byte
}

// encodeCBOR encodes a value of this file's types.
func encodeCBOR(v any) []byte {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return b
}

// sign makes a record, signed with a key that need not be the one it names.
func sign(key ed25519.PrivateKey, network [16]byte, kind uint8, record any) []byte {
	payload := encodeCBOR(record)
	signed := append([]byte("flanneld record 2\x00"), network[:]...)
	signed = append(append(signed, kind), payload...)
	return encodeCBOR(signedRecord{Kind: kind, Payload: payload, Sig: ed25519.Sign(key, signed)})
}

// Kinds of messages between nodes.
const (
	messageAsk      = 1
	messageAnswer   = 2
	messageWithdraw = 3
	messageRecords  = 4
	messageRumor    = 7
)

// rumor is the user message that spreads a record.
func rumor(record []byte) []byte { return append([]byte{0, 2, messageRumor}, record...) }

// direct is the user message that carries a message from the holder of a key to
// a node.
func direct(key ed25519.PrivateKey, at netip.AddrPort, network, to [16]byte, counter uint64, kind byte, body any) []byte {
	public := key.Public().(ed25519.PublicKey)
	m := append([]byte{2, kind}, network[:]...)
	m = append(append(m, to[:]...), public...)
	m = binary.BigEndian.AppendUint64(m, 1) // start
	m = binary.BigEndian.AppendUint64(m, counter)
	m = append(m, encodeCBOR(body)...)
	m = append(m, ed25519.Sign(key, append([]byte("flanneld message 2\x00"), m...))...)

	id, addr := nodeID(public), at.Addr().As4()
	b := append([]byte{1}, id[:]...)
	b = append(b, addr[:]...)
	b = binary.BigEndian.AppendUint16(b, at.Port())
	return append(binary.BigEndian.AppendUint32(b, uint32(len(m))), m...)
}

// tableState is the node table in a push/pull.
type tableState struct {
	Network cbor.RawMessage `cbor:"1,keyasint"`
	Records [][]byte        `cbor:"4,keyasint,omitempty"`
	Parts   []byte          `cbor:"5,keyasint,omitempty"`
}

const stateHeaderLen = 1 + ed25519.PublicKeySize + 16 + ed25519.SignatureSize
