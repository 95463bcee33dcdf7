// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"crypto/rand"
	"sync"

	"flanneld/peers/internal/gossip/wire"
)

// pending are questions of this node that are under way, each under a nonce
// that its answers bear. It is safe for concurrent use.
type pending[T any] struct {
	limit int // of questions

	mu   sync.Mutex
	open map[[wire.NonceSize]byte]T
}

func newPending[T any](limit int) *pending[T] {
	return &pending[T]{limit: limit, open: map[[wire.NonceSize]byte]T{}}
}

// put notes a question under a new nonce; ok is false while too many are under
// way. The caller ends it.
func (p *pending[T]) put(question T) (nonce [wire.NonceSize]byte, ok bool) {
	_, _ = rand.Read(nonce[:]) // never fails: crypto/rand ends the process first
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) >= p.limit {
		return nonce, false
	}
	p.open[nonce] = question
	return nonce, true
}

// get returns the question that a nonce belongs to.
func (p *pending[T]) get(nonce [wire.NonceSize]byte) (question T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	question, ok = p.open[nonce]
	return question, ok
}

// take returns the question that a nonce belongs to, and ends it.
func (p *pending[T]) take(nonce [wire.NonceSize]byte) (question T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	question, ok = p.open[nonce]
	delete(p.open, nonce)
	return question, ok
}

// end forgets a question.
func (p *pending[T]) end(nonce [wire.NonceSize]byte) { _, _ = p.take(nonce) }
