// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"sync"
	"sync/atomic"
	"time"
)

// The life of a session. WireGuard has the same times.
const (
	rekeyAfter     = 120 * time.Second
	rekeyPackets   = 1 << 34 // in one stream
	jitter         = 10      // % by which both are varied, either way
	responderLater = 25 * time.Second
	refuseAfter    = 180 * time.Second
	refusePackets  = 1 << 60 // in one stream
)

// MaxLanes is how many sending lanes a node can have.
const MaxLanes = 127

// slowStream is the stream of the slow path: for what waited for a handshake,
// and for keepalives. Each lane has two of the streams below.
const slowStream = 255

// session is what one handshake agreed on. Fields in the first group never
// change. Any goroutine may read them.
type session struct {
	peer         *Peer
	index        uint32 // ours: in datagrams of the peer
	remote       uint32 // the peer's: in our datagrams
	suite        Suite
	initiator    bool
	number       uint64 // in the order in which this node made its sessions
	pending      bool   // a handshake of this node has the index; there are no keys
	born         time.Time
	rekeyAt      time.Time
	refuseAt     time.Time
	rekeyPackets uint64
	peerInstance uint64      // of the process that has the keys
	cluster      *clusterKey // by which both sides proved to be members

	// worn asks for the next handshake before rekeyAt.
	worn atomic.Bool
	// confirmed: the peer has sent a datagram, so it has the keys.
	confirmed atomic.Bool
	// questionAt is when the last question came that is answered, in ns since
	// born; 0: none did.
	questionAt atomic.Int64

	// Streams are made when they are used first. The last one of each is the
	// slow path's.
	sending   []atomic.Pointer[Stream]
	receiving []atomic.Pointer[inflow]

	mu    sync.Mutex // guards what follows, and making streams
	ended bool
	send  [keySize]byte
	open  [keySize]byte
}

// stream returns a sending stream, or nil after the end of the session.
func (s *session) stream(number int) *Stream {
	at := number
	if number == slowStream {
		at = len(s.sending) - 1
	} else if number < 0 || number >= len(s.sending)-1 {
		return nil
	}
	if st := s.sending[at].Load(); st != nil {
		return st
	}
	return s.makeStream(at, uint8(number))
}

func (s *session) makeStream(at int, number uint8) *Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	key := streamKey(&s.send, number)
	defer clear(key[:])
	aead, err := s.suite.aead(&key)
	if err != nil {
		return nil
	}
	st := &Stream{session: s, peer: s.peer, aead: aead, header: header{stream: number, index: s.remote}}
	s.sending[at].Store(st)
	return st
}

// inflow returns a receiving stream, or nil if the peer has none of this
// number, or the session has ended. A datagram that is not authentic can make
// one, but not more than the peer announced.
func (s *session) inflow(number uint8) *inflow {
	at := int(number)
	if number == slowStream {
		at = len(s.receiving) - 1
	} else if at >= len(s.receiving)-1 {
		return nil
	}
	if in := s.receiving[at].Load(); in != nil {
		return in
	}
	return s.makeInflow(at, number)
}

func (s *session) makeInflow(at int, number uint8) *inflow {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	if in := s.receiving[at].Load(); in != nil {
		return in // another lane was first; there must be one window only
	}
	key := streamKey(&s.open, number)
	defer clear(key[:])
	aead, err := s.suite.aead(&key)
	if err != nil {
		return nil
	}
	in := &inflow{aead: aead}
	s.receiving[at].Store(in)
	return in
}

// end wipes the keys and drops the streams. A lane that has a stream at this
// moment can use it until its batch ends. The standard library has no way to
// wipe the expanded keys inside a cipher: these are left to the garbage
// collector.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	clear(s.send[:])
	clear(s.open[:])
	for i := range s.sending {
		s.sending[i].Store(nil)
	}
	for i := range s.receiving {
		s.receiving[i].Store(nil)
	}
}

// expired reports whether the session must not be used any more.
func (s *session) expired(now time.Time) bool { return !now.Before(s.refuseAt) }

// wantsSuccessor reports whether the next handshake should begin.
func (s *session) wantsSuccessor(now time.Time) bool { return s.worn.Load() || !now.Before(s.rekeyAt) }
