// SPDX-License-Identifier: Apache-2.0

package record

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Everything on the wire and on disk is CBOR (RFC 8949), deterministically
// encoded. Maps have small integer keys, so that a later version can add fields
// which this one does not know. A record is passed on in the very bytes that
// its writer signed, so that such fields are carried, not dropped.
var (
	encoder = func() cbor.UserBufferEncMode {
		mode, err := cbor.CoreDetEncOptions().UserBufferEncMode()
		if err != nil {
			panic(err)
		}
		return mode
	}()
	decoder = func() cbor.DecMode {
		mode, err := cbor.DecOptions{
			DupMapKey:        cbor.DupMapKeyEnforcedAPF,
			IndefLength:      cbor.IndefLengthForbidden,
			TagsMd:           cbor.TagsForbidden,
			MaxNestedLevels:  8,
			MaxArrayElements: maxRecords,
			MaxMapPairs:      64,
		}.DecMode()
		if err != nil {
			panic(err)
		}
		return mode
	}()
)

// Encode encodes a value of our own types, which cannot fail.
func Encode(v any) []byte { return appendEncoded(nil, v) }

// appendEncoded appends the encoding to b.
func appendEncoded(b []byte, v any) []byte {
	buffer := bytes.NewBuffer(b)
	if err := encoder.MarshalToBuffer(v, buffer); err != nil {
		panic(fmt.Sprintf("record: encode %T: %v", v, err))
	}
	return buffer.Bytes()
}

// Decode decodes what Encode encoded, or what another node sent. It refuses
// duplicate keys, indefinite lengths and tags, and bounds nesting and sizes.
func Decode(b []byte, v any) error { return decoder.Unmarshal(b, v) }

// Kind is which record an envelope has.
type Kind uint8

// The kinds of records. A reader leaves others alone.
const (
	KindNode   Kind = 1
	KindLease  Kind = 2
	KindForget Kind = 3
)

// maxRecordLen bounds an encoded record: a broadcast has to hold one, and
// memberlist's datagrams carry 1,400 bytes, encryption and headers included.
const maxRecordLen = 1200

// Envelope is a record as it travels and as it is kept: the writer's bytes and
// its signature over them.
type Envelope struct {
	_       struct{} `cbor:",toarray"`
	Kind    Kind
	Payload []byte // CBOR, as its writer signed it
	Sig     []byte
}

var (
	errSignature = errors.New("signature does not fit the record")
	errTooLong   = errors.New("record too long")
)

// signedBytes is what a signature covers. It includes the network's ID, so that
// a record of one network cannot be replayed into another.
func signedBytes(net NetworkID, kind Kind, payload []byte) []byte {
	b := make([]byte, 0, 64+len(payload))
	b = append(b, "flanneld record 2\x00"...)
	b = append(b, net[:]...)
	b = append(b, byte(kind))
	return append(b, payload...)
}

// Signer makes and checks the signatures of records. It is Ed25519; the
// simulator has one of its own for most of its runs, which costs less than the
// rest of the core.
type Signer interface {
	Sign(key ed25519.PrivateKey, msg []byte) []byte
	Verify(key ed25519.PublicKey, msg, sig []byte) bool
}

// Ed25519 is the signer of every network but the simulated ones.
type Ed25519 struct{}

// Sign implements Signer.
func (Ed25519) Sign(key ed25519.PrivateKey, msg []byte) []byte { return ed25519.Sign(key, msg) }

// Verify implements Signer.
func (Ed25519) Verify(key ed25519.PublicKey, msg, sig []byte) bool {
	return ed25519.Verify(key, msg, sig)
}

// Seal encodes and signs a record.
func (i Identity) Seal(s Signer, net NetworkID, kind Kind, rec any) []byte {
	payload := Encode(rec)
	return Encode(Envelope{Kind: kind, Payload: payload, Sig: s.Sign(i.Key, signedBytes(net, kind, payload))})
}

// OpenEnvelope decodes the outer layer only; the payload is not yet trusted.
func OpenEnvelope(raw []byte) (Envelope, error) {
	var e Envelope
	if len(raw) > maxRecordLen {
		return e, errTooLong
	}
	return e, decoder.Unmarshal(raw, &e)
}

// verify checks the envelope's signature against the key its payload names.
func (e Envelope) verify(s Signer, net NetworkID, key []byte) error {
	if len(key) != ed25519.PublicKeySize || !s.Verify(key, signedBytes(net, e.Kind, e.Payload), e.Sig) {
		return errSignature
	}
	return nil
}
