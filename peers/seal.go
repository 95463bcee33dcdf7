package peers

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/hashicorp/memberlist"
)

// Gossip is sealed here and not by memberlist, so that a stranger's bytes are
// recognised before memberlist sees them. memberlist reads up to 20 MB of a
// stream before it looks at the key. It also unpacks what is compressed inside
// of what is sealed.
//
// Each datagram, and each direction of a stream, has a key of its own:
// HMAC-SHA256(cluster key, context, salt) with a random salt of 24 bytes. So no
// two messages share a key and a nonce, however many are sent. The cipher is
// AES-256-GCM; its nonce counts the pieces of a stream.
const (
	saltSize  = 24
	tagSize   = 16
	pieceSize = 16 << 10 // bytes of plain text in one sealed piece of a stream
	sealSize  = saltSize + tagSize

	contextDatagram = "flanneld gossip 2 datagram"
	contextCaller   = "flanneld gossip 2 caller"
	contextAnswer   = "flanneld gossip 2 answer"
)

// cipherOf derives the cipher of one datagram or of one direction of a stream.
// What is bound goes into the key: the caller's salt, in an answer.
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

func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the process first
	return salt
}

// nonceOf is the nonce of a piece.
func nonceOf(piece uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), piece)
}

// sealDatagram appends salt and sealed message to b.
func sealDatagram(b []byte, ring *memberlist.Keyring, msg []byte) []byte {
	salt := newSalt()
	b = append(b, salt...)
	return cipherOf(ring.GetPrimaryKey(), contextDatagram, salt, nil).Seal(b, nonceOf(0), msg, nil)
}

// openDatagram opens what sealDatagram appended, with any key of the ring.
func openDatagram(ring *memberlist.Keyring, b []byte) ([]byte, error) {
	if len(b) < sealSize {
		return nil, errOtherKey
	}
	for _, key := range ring.GetKeys() {
		if msg, err := cipherOf(key, contextDatagram, b[:saltSize], nil).Open(nil, nonceOf(0), b[saltSize:], nil); err == nil {
			return msg, nil
		}
	}
	return nil, errOtherKey
}

// pieceSealer seals one direction of a stream.
type pieceSealer struct {
	aead  cipher.AEAD
	piece uint64
}

// seal appends the sealed pieces of a frame's content to b. The frame's length
// is authenticated with each.
func (s *pieceSealer) seal(b, content []byte) []byte {
	length := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	for len(content) > 0 {
		n := min(len(content), pieceSize)
		b = s.aead.Seal(b, nonceOf(s.piece), content[:n], length)
		s.piece++
		content = content[n:]
	}
	return b
}

// pieceOpener opens one direction of a stream. The key that opens the first
// piece is the stream's.
type pieceOpener struct {
	candidates []cipher.AEAD
	piece      uint64
}

func newPieceOpener(ring *memberlist.Keyring, context string, salt, bound []byte) *pieceOpener {
	o := &pieceOpener{}
	for _, key := range ring.GetKeys() {
		o.candidates = append(o.candidates, cipherOf(key, context, salt, bound))
	}
	return o
}

// open appends the plain text of one piece to b.
func (o *pieceOpener) open(b, sealed []byte, frame uint32) ([]byte, error) {
	length := binary.BigEndian.AppendUint32(nil, frame)
	for _, aead := range o.candidates {
		if plain, err := aead.Open(b, nonceOf(o.piece), sealed, length); err == nil {
			o.candidates = []cipher.AEAD{aead}
			o.piece++
			return plain, nil
		}
	}
	return nil, errOtherKey
}
