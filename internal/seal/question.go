// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"encoding/binary"
	"io"
	"time"
)

// A question is sealed content that is no packet: a kind and a number. The peer
// sends the number back. Its answer proves that the peer receives what is sent
// to the address where the question went, as PATH_CHALLENGE of QUIC does (RFC
// 9000, section 8.2). An IP packet begins with 4 or 6, neither kind does.
const (
	contentQuestion = 1
	contentAnswer   = 2
	questionSize    = 1 + 8
)

// questionRest is the time between two questions that are answered, for each
// session. A peer with a fault costs no more.
const questionRest = 100 * time.Millisecond

// parseQuestion reads a question or an answer. It is not ok for a packet.
func parseQuestion(b []byte) (kind byte, number uint64, ok bool) {
	if len(b) != questionSize || b[0] != contentQuestion && b[0] != contentAnswer {
		return 0, 0, false
	}
	return b[0], binary.BigEndian.Uint64(b[1:]), true
}

func appendQuestion(b []byte, kind byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, kind), number)
}

// Question seals a question to a peer, and emits it. The caller chooses where
// it goes. The number is what [Peer.Answered] is asked for; given 0 it is a new
// one. Only questions with the last number can be answered. It is not ok where
// there is no session to seal it with.
func (n *Node) Question(now time.Time, p *Peer, number uint64, emit Emit) (_ uint64, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = now
	if number == 0 {
		var b [8]byte
		if _, err := io.ReadFull(n.random, b[:]); err != nil {
			return 0, false
		}
		number = binary.BigEndian.Uint64(b[:]) | 1
		p.asking.Store(number)
	}
	return number, n.sealAndEmit(now, p, appendQuestion(nil, contentQuestion, number), emit)
}

// Answered reports whether the peer has answered the question with a number.
func (p *Peer) Answered(number uint64) bool { return number != 0 && p.answered.Load() == number }

// hearQuestion takes a question or an answer from a lane. The slow path does
// the rest.
func (p *Peer) hearQuestion(now time.Time, s *session, kind byte, number uint64) {
	if kind == contentAnswer {
		if number != 0 && p.asking.CompareAndSwap(number, 0) {
			p.answered.Store(number)
			p.node.wake()
		}
		return
	}
	at, last := max(now.Sub(s.born), 1), s.questionAt.Load()
	if last != 0 && at-time.Duration(last) < questionRest || !s.questionAt.CompareAndSwap(last, int64(at)) {
		return
	}
	p.node.inbox.question(p, number)
	p.node.wake()
}
