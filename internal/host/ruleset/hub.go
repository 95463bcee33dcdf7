// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"context"
	"sync"
	"time"
)

// legacyInterval is how often the tables of iptables-legacy are read, which
// report no changes.
const legacyInterval = 3 * time.Second

// Hub watches packet filter rules once, and wakes its subscribers. Its methods
// may be called concurrently.
type Hub struct {
	watch  func(context.Context) (*Watcher, error)
	legacy func() (string, error)

	mu   sync.Mutex
	all  map[*Subscription]bool
	live bool
}

// Subscription is what one subscriber has not seen yet. Changed gets a token
// after each change; Take returns the change. Several changes may make one
// token.
type Subscription struct {
	Changed <-chan struct{} // capacity one; never closed

	tokens chan<- struct{}
	hub    *Hub
	change Change // hub.mu is held
}

// NewHub makes a Hub that watches nothing yet; see Run.
func NewHub() *Hub {
	return &Hub{watch: Watch, legacy: Legacy, all: map[*Subscription]bool{}}
}

// Live reports whether nf_tables reports its changes. Otherwise subscribers
// only learn of changes of iptables-legacy.
func (h *Hub) Live() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.live
}

// Subscribe reports changes from now on, until Close.
func (h *Hub) Subscribe() *Subscription {
	tokens := make(chan struct{}, 1)
	s := &Subscription{Changed: tokens, tokens: tokens, hub: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[s] = true
	return s
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	delete(s.hub.all, s)
}

// Take returns what has changed since the last call.
func (s *Subscription) Take() Change {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	c := s.change
	s.change = Change{}
	return c
}

// Start begins to watch, until ctx ends. The returned channel is closed when
// the Hub has ended. The error says why nf_tables reports nothing; legacy
// tables are watched all the same.
func (h *Hub) Start(ctx context.Context) (ended <-chan struct{}, err error) {
	w, err := h.watch(ctx)
	if err != nil {
		w = &Watcher{}
	}
	h.mu.Lock()
	h.live = err == nil
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.run(ctx, w)
	}()
	return done, err
}

func (h *Hub) run(ctx context.Context, w *Watcher) {
	tick := time.NewTicker(legacyInterval)
	defer tick.Stop()
	before, _ := h.legacy()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.Changed:
			h.publish(w.Take())
		case <-tick.C:
			if now, err := h.legacy(); err == nil && now != before {
				before = now
				h.publish(Change{Legacy: true})
			}
		}
	}
}

// publish adds a change to what each subscriber has not seen.
func (h *Hub) publish(c Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.all {
		s.change.merge(c)
		select {
		case s.tokens <- struct{}{}:
		default:
		}
	}
}
