package core

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Everything on the wire and on disk is CBOR (RFC 8949), deterministically
// encoded. Maps have small integer keys, so that a later version can add fields
// which this one does not know; a record is passed on in the very bytes its
// writer signed, so that such fields are carried, not dropped.
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

// mustEncode is for values of our own types, whose encoding cannot fail.
func mustEncode(v any) []byte { return mustAppend(nil, v) }

// mustAppend appends the encoding to b.
func mustAppend(b []byte, v any) []byte {
	buffer := bytes.NewBuffer(b)
	if err := encoder.MarshalToBuffer(v, buffer); err != nil {
		panic(fmt.Sprintf("core: encode %T: %v", v, err))
	}
	return buffer.Bytes()
}

// Decode decodes what mustEncode encoded, or what another node sent.
func Decode(b []byte, v any) error { return decoder.Unmarshal(b, v) }

type recordKind uint8

const (
	kindNode   recordKind = 1
	kindLease  recordKind = 2
	kindForget recordKind = 3
)

// maxRecordLen bounds an encoded record: a broadcast has to hold one, and
// memberlist's datagrams carry 1,400 bytes, encryption and headers included.
const maxRecordLen = 1200

// envelope is a record as it travels and as it is kept: the writer's bytes and
// its signature over them.
type envelope struct {
	_       struct{} `cbor:",toarray"`
	Kind    recordKind
	Payload []byte
	Sig     []byte
}

var (
	errSignature = errors.New("signature does not fit the record")
	errTooLong   = errors.New("record too long")
)

// signedBytes is what a signature covers. The network's ID is part of it, so
// that a record of one network cannot be replayed into another.
func signedBytes(net NetworkID, kind recordKind, payload []byte) []byte {
	b := make([]byte, 0, 64+len(payload))
	b = append(b, "flanneld record 2\x00"...)
	b = append(b, net[:]...)
	b = append(b, byte(kind))
	return append(b, payload...)
}

// signer makes and checks the signatures of records. It is Ed25519; the
// simulator has one of its own for most of its runs, which costs less than the
// rest of the core.
type signer interface {
	sign(key ed25519.PrivateKey, msg []byte) []byte
	verify(key ed25519.PublicKey, msg, sig []byte) bool
}

type ed25519Signer struct{}

func (ed25519Signer) sign(key ed25519.PrivateKey, msg []byte) []byte { return ed25519.Sign(key, msg) }

func (ed25519Signer) verify(key ed25519.PublicKey, msg, sig []byte) bool {
	return ed25519.Verify(key, msg, sig)
}

// seal encodes and signs a record.
func (i Identity) seal(s signer, net NetworkID, kind recordKind, rec any) []byte {
	payload := mustEncode(rec)
	return mustEncode(envelope{Kind: kind, Payload: payload, Sig: s.sign(i.Key, signedBytes(net, kind, payload))})
}

// openEnvelope decodes the outer layer only; the payload is not yet trusted.
func openEnvelope(raw []byte) (envelope, error) {
	var e envelope
	if len(raw) > maxRecordLen {
		return e, errTooLong
	}
	return e, decoder.Unmarshal(raw, &e)
}

// verify checks the envelope's signature against the key its payload names.
func (e envelope) verify(s signer, net NetworkID, key []byte) error {
	if len(key) != ed25519.PublicKeySize || !s.verify(key, signedBytes(net, e.Kind, e.Payload), e.Sig) {
		return errSignature
	}
	return nil
}
