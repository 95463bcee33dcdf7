// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"io"
	"net/netip"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	macSize    = 16 // bytes: HMAC-SHA-256, cut
	cookieSize = 16 // bytes

	// cookieLife is how long a cookie is good for, and how long the secret
	// behind it is used to make new ones.
	cookieLife = 2 * time.Minute
)

// guard checks the codes at the end of the handshake messages to one node.
// Their keys are derived from the cluster key and the receiver's public key.
// So a sender without the cluster key costs the receiver one HMAC, and never a
// Diffie-Hellman operation.
type guard struct {
	mac    [keySize]byte // of the first code
	cookie [keySize]byte // encrypts cookies

	// keyed computes first codes. It is kept, because to set it up takes
	// longer than to use it, and a flood of garbage costs one code a message.
	keyed hash.Hash
	code  [sha256.Size]byte
}

func newGuard(psk *[keySize]byte, receiver [keySize]byte) guard {
	return guard{
		mac:    derive(psk[:], receiver[:], "flanneld sealed mac1"),
		cookie: derive(psk[:], receiver[:], "flanneld sealed cookie"),
	}
}

// wipe clears the keys. The hash has what it made of one inside, which the
// standard library cannot wipe: it is left to the garbage collector.
func (g *guard) wipe() {
	clear(g.mac[:])
	clear(g.cookie[:])
	g.keyed = nil
}

// first is the first code of a message. It is valid until the next call.
func (g *guard) first(message []byte) []byte {
	if g.keyed == nil {
		g.keyed = hmac.New(sha256.New, g.mac[:])
	}
	g.keyed.Reset()
	g.keyed.Write(message)
	return g.keyed.Sum(g.code[:0])[:macSize]
}

// sum is the code of a message under a key.
func sum(key, message []byte) (mac [macSize]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	copy(mac[:], h.Sum(nil))
	return mac
}

// sign fills in the codes at the end of a message: the second one only with a
// cookie. It returns the first.
func (g *guard) sign(message []byte, cookie *[cookieSize]byte) (mac1 [macSize]byte) {
	at := len(message) - 2*macSize
	copy(mac1[:], g.first(message[:at]))
	copy(message[at:], mac1[:])
	if cookie != nil {
		mac2 := sum(cookie[:], message[:at+macSize])
		copy(message[at+macSize:], mac2[:])
	}
	return mac1
}

// checkFirst reports whether the first code of a message is right.
func (g *guard) checkFirst(message []byte) bool {
	at := len(message) - 2*macSize
	return hmac.Equal(g.first(message[:at]), message[at:at+macSize])
}

// checkSecond reports whether the second code of a message was made with a
// cookie.
func checkSecond(message []byte, cookie [cookieSize]byte) bool {
	at := len(message) - macSize
	want := sum(cookie[:], message[:at])
	return hmac.Equal(want[:], message[at:])
}

// sealCookie fills in a cookie reply to a message.
func (g *guard) sealCookie(reply *cookieReply, cookie [cookieSize]byte, message []byte, random io.Reader) error {
	if _, err := io.ReadFull(random, reply.nonce[:]); err != nil {
		return err
	}
	aead, err := chacha20poly1305.NewX(g.cookie[:])
	if err != nil {
		return err
	}
	at := len(message) - 2*macSize
	aead.Seal(reply.sealed[:0], reply.nonce[:], cookie[:], message[at:at+macSize])
	return nil
}

// openCookie returns the cookie in a reply to the message with this first code.
func (g *guard) openCookie(reply *cookieReply, mac1 [macSize]byte) (cookie [cookieSize]byte, ok bool) {
	aead, err := chacha20poly1305.NewX(g.cookie[:])
	if err != nil {
		return cookie, false
	}
	_, err = aead.Open(cookie[:0], reply.nonce[:], reply.sealed[:], mac1[:])
	return cookie, err == nil
}

// bakery makes cookies: codes of the sender's address under a secret that
// changes. A sender that returns one has received it at that address.
type bakery struct {
	secret  [keySize]byte
	changed time.Time
}

// cookie returns the cookie of an address.
func (b *bakery) cookie(now time.Time, from netip.Addr, random io.Reader) ([cookieSize]byte, error) {
	if b.changed.IsZero() || now.Sub(b.changed) >= cookieLife {
		if _, err := io.ReadFull(random, b.secret[:]); err != nil {
			return [cookieSize]byte{}, err
		}
		b.changed = now
	}
	address := from.As16()
	return sum(b.secret[:], address[:]), nil
}
