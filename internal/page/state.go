// SPDX-License-Identifier: Apache-2.0

package page

import (
	"sync"
	"time"

	"flanneld/internal/control"
)

// How old a state may be. One of 60 nodes takes some 70 kB. In a larger network
// it is sent less often.
const (
	stateEvery, largeStateEvery = 2 * time.Second, 5 * time.Second
	largeNetwork                = 60 // nodes
	maxEvents                   = 12 // shown
)

// state is what this node sees, looked up and encoded once for all viewers.
type state struct {
	look    func() (control.Status, control.Nodes)
	events  func() []control.Event
	history *history

	mu  sync.Mutex
	at  time.Time
	now seen
}

// seen is one state. It is not changed any more.
type seen struct {
	number int    // of the state, from 1 on
	event  []byte // with everything
	nodes  map[string]string
	others []string // the nodes that can be asked
	large  bool
}

// stateEvent is what a browser gets.
type stateEvent struct {
	At      int64          `json:"at"` // milliseconds of Unix time
	Status  control.Status `json:"status"`
	Nodes   []control.Node `json:"nodes"`
	History []Sample       `json:"history"`
	// Events are the last maxEvents, the newest last.
	Events []control.Event `json:"events"`
	// Large networks are shown as a list. Then reports name only peers that
	// are not reached.
	Large bool `json:"large"`
}

// get returns a state that is new enough. Callers at the same time wait for
// one.
func (s *state) get() seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	every := stateEvery
	if s.now.large {
		every = largeStateEvery
	}
	if s.now.number == 0 || time.Since(s.at) >= every {
		s.now = s.next()
		s.at = time.Now()
	}
	return s.now
}

func (s *state) next() seen {
	status, nodes := s.look()
	next := seen{number: s.now.number + 1, nodes: map[string]string{}, large: len(nodes.Nodes) > largeNetwork}
	for _, n := range nodes.Nodes {
		if n.ID == "" {
			continue
		}
		next.nodes[shortID(n.ID)] = n.ID
		if !n.Self && (n.State == "alive" || n.State == "suspect") {
			next.others = append(next.others, n.ID)
		}
	}
	events := s.events()
	next.event = encode("state", stateEvent{
		At: time.Now().UnixMilli(), Status: status, Nodes: nodes.Nodes, History: s.history.all(), Large: next.large,
		Events: events[max(0, len(events)-maxEvents):],
	})
	return next
}
