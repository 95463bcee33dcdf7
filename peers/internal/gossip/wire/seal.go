// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// Gossip is sealed here and not by memberlist, so that a stranger's bytes are
// recognized before memberlist sees them. memberlist reads up to 20 MB of a
// stream before it looks at the key. It also decompresses what stands inside a
// sealed message.
//
// Each datagram, and each direction of a stream, has a key of its own:
// HMAC-SHA256(cluster key, context, salt) with a random salt of 24 bytes. So no
// two messages share a key and a nonce, however many are sent. The cipher is
// AES-256-GCM; its nonce counts the pieces of a stream.
const (
	SaltSize  = 24                 // bytes
	TagSize   = 16                 // bytes behind the plain text of a piece
	PieceSize = 16 << 10           // bytes of plain text in one sealed piece of a stream
	SealSize  = SaltSize + TagSize // bytes that a sealed datagram has more than a plain one

	contextDatagram = "flanneld gossip 2 datagram"
	ContextCaller   = "flanneld gossip 2 caller"
	ContextAnswer   = "flanneld gossip 2 answer"
)

// cipherOf derives the cipher of one datagram or of one direction of a stream.
// bound goes into the key as well: in an answer it is the caller's salt.
func cipherOf(key []byte, context string, salt, bound []byte) cipher.AEAD {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(context))
	mac.Write([]byte{0})
	mac.Write(salt)
	mac.Write(bound)
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // of AES
	}
	return aead
}

// NewSalt returns random bytes that begin one direction of a stream.
func NewSalt() []byte {
	salt := make([]byte, SaltSize)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the process first
	return salt
}

// nonceOf is the nonce of a piece.
func nonceOf(piece uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), piece)
}

// SealDatagram appends a salt and the sealed message to b.
func SealDatagram(b []byte, ring *Keyring, msg []byte) []byte {
	salt := NewSalt()
	b = append(b, salt...)
	return cipherOf(ring.primary(), contextDatagram, salt, nil).Seal(b, nonceOf(0), msg, nil)
}

// OpenDatagram opens what [SealDatagram] appended, with any key of the ring.
// Its error is [ErrOtherKey].
func OpenDatagram(ring *Keyring, b []byte) ([]byte, error) {
	if len(b) < SealSize {
		return nil, ErrOtherKey
	}
	for _, key := range ring.Keys() {
		if msg, err := cipherOf(key[:], contextDatagram, b[:SaltSize], nil).Open(nil, nonceOf(0), b[SaltSize:], nil); err == nil {
			return msg, nil
		}
	}
	return nil, ErrOtherKey
}

// Sealer seals one direction of a stream.
type Sealer struct {
	aead  cipher.AEAD
	piece uint64
}

// NewSealer seals with the ring's first key. The context is [ContextCaller] for
// the side that dialed and [ContextAnswer] for the other. salt begins the
// direction; bound is the caller's salt in an answer, nil otherwise.
func NewSealer(ring *Keyring, context string, salt, bound []byte) *Sealer {
	return &Sealer{aead: cipherOf(ring.primary(), context, salt, bound)}
}

// Seal appends the sealed pieces of a frame's content to b. The frame's length
// is authenticated with each.
func (s *Sealer) Seal(b, content []byte) []byte {
	length := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	for len(content) > 0 {
		n := min(len(content), PieceSize)
		b = s.aead.Seal(b, nonceOf(s.piece), content[:n], length)
		s.piece++
		content = content[n:]
	}
	return b
}

// Opener opens one direction of a stream. The key that opens the first
// piece is the stream's.
type Opener struct {
	candidates []cipher.AEAD
	piece      uint64
}

// NewOpener opens what a [NewSealer] of the same arguments seals, with any key
// of the ring.
func NewOpener(ring *Keyring, context string, salt, bound []byte) *Opener {
	o := &Opener{}
	for _, key := range ring.Keys() {
		o.candidates = append(o.candidates, cipherOf(key[:], context, salt, bound))
	}
	return o
}

// Open appends the plain text of one piece to b. frame is the length of the
// frame's content in bytes. Its error is [ErrOtherKey].
func (o *Opener) Open(b, sealed []byte, frame uint32) ([]byte, error) {
	length := binary.BigEndian.AppendUint32(nil, frame)
	for _, aead := range o.candidates {
		if plain, err := aead.Open(b, nonceOf(o.piece), sealed, length); err == nil {
			o.candidates = []cipher.AEAD{aead}
			o.piece++
			return plain, nil
		}
	}
	return nil, ErrOtherKey
}
