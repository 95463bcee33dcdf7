// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"slices"
	"time"
)

// SetPeer adds a peer, or takes its newest record. It returns the same Peer as
// long as ID and key are the same. A new key ends all sessions with the old
// one. It returns nil for this node itself, and after Close.
func (n *Node) SetPeer(now time.Time, info PeerInfo) *Peer {
	defer n.wake()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = now
	if n.closed || info.ID == n.self {
		return nil
	}
	p := n.peers[info.ID]
	if p != nil && p.key != info.Key {
		n.drop(p)
		p = nil
	}
	if p == nil {
		p = &Peer{node: n, id: info.ID, key: info.Key, timer: -1}
		n.peers[info.ID] = p
		if info.Eager {
			n.eager(now, p)
		}
	}
	p.suites = slices.Clone(info.Suites)
	if info.Instance != p.instance {
		p.instance = info.Instance
		earlier := func(s *session) bool { return s.peerInstance != p.instance }
		if n.endIf(p, earlier) && info.Eager {
			n.eager(now, p)
		}
		n.timers.set(p)
	}
	return p
}

// eager plans a handshake ahead of traffic.
func (n *Node) eager(now time.Time, p *Peer) {
	if p.attempts > 0 || p.next != nil || p.current.Load() != nil {
		return
	}
	wait := n.spread(eagerEach * time.Duration(len(n.peers)))
	if !n.before(p) {
		wait += eagerLater
	}
	p.attemptAt = now.Add(wait)
	n.timers.set(p)
}

// endIf ends the sessions with a peer for which over holds. It reports whether
// there were any.
func (n *Node) endIf(p *Peer, over func(*session) bool) (ended bool) {
	if s := p.current.Load(); s != nil && over(s) {
		p.current.Store(nil)
		n.end(s)
		ended = true
	}
	for _, at := range []**session{&p.previous, &p.next} {
		if s := *at; s != nil && over(s) {
			*at = nil
			n.end(s)
			ended = true
		}
	}
	return ended
}

// RemovePeer ends all sessions with a peer, and forgets its keys.
func (n *Node) RemovePeer(id NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.peers[id]; p != nil {
		n.drop(p)
	}
}

// drop forgets a peer.
func (n *Node) drop(p *Peer) {
	p.queueMu.Lock()
	p.removed.Store(true)
	p.dropped += uint64(len(p.queue.take()))
	p.queueMu.Unlock()
	n.dropHandshake(p)
	n.endIf(p, func(*session) bool { return true })
	clear(p.cookie[:])
	n.timers.set(p)
	delete(n.peers, p.id)
}
