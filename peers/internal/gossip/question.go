// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"crypto/rand"
	"net/netip"
	"sync"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// Limits of questions.
const (
	maxQuestions = 8192            // under way
	questionFor  = 2 * time.Second // what is answered later is not an answer, unless this node lags
)

// question is one that is under way.
type question struct {
	to     record.NodeID
	at     netip.AddrPort
	sent   time.Time
	answer chan<- wire.Proof // nil: it goes to the members
}

// questions are the ones that this node has asked and that wait for an answer.
// They are safe for concurrent use.
type questions struct {
	lag   *lag
	mu    sync.Mutex
	open  map[[wire.NonceSize]byte]question
	order [][wire.NonceSize]byte // oldest first, answered ones included
}

func newQuestions(l *lag) *questions {
	return &questions{lag: l, open: map[[wire.NonceSize]byte]question{}}
}

// countsFor is how long an answer may take.
func (q *questions) countsFor(now time.Time) time.Duration { return questionFor + 2*q.lag.round(now) }

// put notes a question and returns its nonce; ok is false while too many are
// under way.
func (q *questions) put(to record.NodeID, at netip.AddrPort, answer chan<- wire.Proof, now time.Time) (nonce [wire.NonceSize]byte, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	countsFor := q.countsFor(now)
	for len(q.order) > 0 {
		oldest, found := q.open[q.order[0]]
		if found && now.Sub(oldest.sent) <= countsFor {
			break
		}
		delete(q.open, q.order[0])
		q.order = q.order[1:]
	}
	if len(q.order) >= maxQuestions {
		return nonce, false
	}
	_, _ = rand.Read(nonce[:]) // never fails: crypto/rand ends the process first
	q.open[nonce] = question{to, at, now, answer}
	q.order = append(q.order, nonce)
	return nonce, true
}

// take returns the question that a nonce belongs to, once.
func (q *questions) take(nonce [wire.NonceSize]byte) (question, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	asked, ok := q.open[nonce]
	delete(q.open, nonce)
	return asked, ok
}

// match checks a proof against the question it answers. Without such a question
// it verifies no signature.
func (q *questions) match(b []byte, now time.Time) (wire.Proof, question, bool) {
	nonce, p, ok := wire.ParseProof(b)
	if !ok {
		return wire.Proof{}, question{}, false
	}
	asked, ok := q.take(nonce)
	if !ok || asked.to != p.Node || now.Sub(asked.sent) > q.countsFor(now) {
		return wire.Proof{}, question{}, false
	}
	if !wire.VerifyProof(b) {
		return wire.Proof{}, question{}, false
	}
	return p, asked, true
}
