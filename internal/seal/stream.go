// SPDX-License-Identifier: Apache-2.0

package seal

import "crypto/cipher"

// Stream is a sending stream of one session. One goroutine at a time may use
// it.
type Stream struct {
	session *session
	peer    *Peer
	aead    cipher.AEAD
	header  header // of the next datagram
	nonce   [nonceSize]byte

	_ [32]byte // streams of two lanes share no cache line
}

// Seal seals a datagram in place: HeaderLen bytes of room, the packet, TagLen
// bytes of room. It reports false, and seals nothing, once the stream has used
// up its counters, or if there is no room for header and tag.
//
// The counter rises with every call that reports true. So no two datagrams
// share a nonce under one key. To send a sealed datagram a second time is safe:
// it has the same bytes.
func (s *Stream) Seal(datagram []byte) bool {
	if len(datagram) < Overhead || s.header.counter >= refusePackets {
		return false
	}
	s.header.put(datagram)
	putNonce(&s.nonce, s.header.counter)
	packet := datagram[HeaderLen : len(datagram)-TagLen]
	s.aead.Seal(packet[:0], s.nonce[:], packet, datagram[:HeaderLen])
	s.header.counter++
	if s.header.counter == s.session.rekeyPackets {
		s.session.worn.Store(true)
	}
	if len(packet) > 0 && !s.peer.sent.Load() {
		s.peer.sent.Store(true)
	}
	return true
}
