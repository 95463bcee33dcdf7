// SPDX-License-Identifier: Apache-2.0

package seal

import "time"

// Times of the slow path.
const (
	firstRetry  = 500 * time.Millisecond
	lastRetry   = 5 * time.Second // each pause is twice the last one, up to this
	giveUpAfter = 90 * time.Second
	// answerWithin is how old message 1 may be when its answer comes. Only a
	// node that was stopped sees older ones: each attempt replaces the last. A
	// session of such an answer could want a successor at once. The message
	// for that, where it overtakes the first packet, ends the session at the
	// peer.
	answerWithin = 2 * lastRetry

	cookiePause = 100 * time.Millisecond // at most, before message 1 goes again with a cookie

	// sweepEvery is how often the node looks which peers were sent to and
	// heard of. A peer that only receives answers within that time. A peer
	// that does not answer for silentSweeps has lost the session.
	sweepEvery   = 5 * time.Second
	silentSweeps = 3

	// Handshakes ahead of traffic are spread over this time for each peer.
	// The node with the higher ID waits longer, so that they seldom cross.
	eagerEach  = 4 * time.Millisecond
	eagerLater = 3 * time.Second
)

// Next is when Tick has something to do, or zero if nothing is planned.
func (n *Node) Next() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.inbox.empty() {
		return n.now
	}
	next := n.sweepAt
	if len(n.timers) > 0 && (next.IsZero() || n.timers[0].due.Before(next)) {
		next = n.timers[0].due
	}
	return next
}

// Tick does what lanes asked for, and what is due: handshakes, packets that
// waited, answers, keepalives, and the end of old sessions.
func (n *Node) Tick(now time.Time, emit Emit) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = now
	asked, confirmed, questions := n.inbox.take()
	if n.closed {
		return
	}
	for _, s := range confirmed {
		n.confirm(now, s, emit)
	}
	for _, p := range asked {
		n.oblige(now, p, emit)
	}
	for _, q := range questions {
		n.sealAndEmit(now, q.from, appendQuestion(nil, contentAnswer, q.number), emit)
	}
	for len(n.timers) > 0 && !now.Before(n.timers[0].due) {
		n.fire(now, n.timers[0], emit)
	}
	if !n.sweepAt.IsZero() && !now.Before(n.sweepAt) {
		n.sweep(now, emit)
	}
}

// confirm takes a session into use: the peer has sent with it. Where both
// nodes began a handshake, this node can have a newer session by now. Then the
// other one only opens.
func (n *Node) confirm(now time.Time, s *session, emit Emit) {
	p := s.peer
	if p.next != s {
		return
	}
	if current := p.current.Load(); current != nil && !current.expired(now) && current.number > s.number {
		return
	}
	p.next = nil
	n.use(now, p, s, emit)
}

// use makes a session the one to send with. An initiator without packets that
// wait sends a keepalive, because the responder sends nothing before it has
// heard one.
func (n *Node) use(now time.Time, p *Peer, s *session, emit Emit) {
	p.counts.handshakes++
	if old := p.current.Load(); old != nil {
		p.counts.rekeys++
		n.end(p.previous)
		p.previous = old
	}
	p.current.Store(s)
	p.silent = 0
	n.settle(p)
	if sent := n.flush(now, p, emit); sent == 0 && s.initiator {
		n.sealAndEmit(now, p, nil, emit)
	}
	if n.sweepAt.IsZero() {
		n.sweepAt = now.Add(sweepEvery)
	}
}

// settle ends a series of attempts. From now on lanes can ask again.
func (n *Node) settle(p *Peer) {
	n.dropHandshake(p)
	p.attempts, p.firstAttempt, p.attemptAt = 0, time.Time{}, time.Time{}
	p.asked.Store(false)
	n.timers.set(p)
}

// flush sends the packets that waited. It comes after asked was cleared: a lane
// that still holds a packet back asks after that, and is heard.
func (n *Node) flush(now time.Time, p *Peer, emit Emit) (sent int) {
	p.queueMu.Lock()
	packets := p.queue.take()
	p.queueMu.Unlock()
	for _, packet := range packets {
		if n.sealAndEmit(now, p, packet, emit) {
			sent++
		}
	}
	return sent
}

// settled reports whether a peer needs no handshake.
func settled(now time.Time, p *Peer) bool {
	s := p.current.Load()
	return s != nil && !s.expired(now) && !s.wantsSuccessor(now)
}

// oblige begins the handshake that a lane asked for.
func (n *Node) oblige(now time.Time, p *Peer, emit Emit) {
	switch {
	case p.removed.Load():
	case settled(now, p):
		n.settle(p)
		n.flush(now, p, emit)
	case p.attempts == 0:
		n.attempt(now, p, emit)
	}
}

// fire does what is due for a peer.
func (n *Node) fire(now time.Time, p *Peer, emit Emit) {
	n.endIf(p, func(s *session) bool { return s.expired(now) })
	if !p.attemptAt.IsZero() && !now.Before(p.attemptAt) {
		if settled(now, p) {
			n.settle(p)
			n.flush(now, p, emit)
		} else {
			n.attempt(now, p, emit)
		}
	}
	n.timers.set(p)
}

// attempt sends message 1, and plans the next attempt. A series of attempts
// ends after 90 seconds, and with it the wait of the packets. The next packet
// begins another one.
func (n *Node) attempt(now time.Time, p *Peer, emit Emit) {
	n.dropHandshake(p)
	if p.attempts == 0 {
		p.firstAttempt = now
	}
	if now.Sub(p.firstAttempt) >= giveUpAfter {
		p.counts.failed++
		n.settle(p)
		p.queueMu.Lock()
		p.dropped += uint64(len(p.queue.take()))
		p.queueMu.Unlock()
		return
	}
	p.asked.Store(true)
	p.attempts++
	p.attemptAt = now.Add(n.vary(min(lastRetry, firstRetry<<min(p.attempts-1, 8))))
	n.timers.set(p)
	if message, err := n.initiate(now, p); err == nil {
		emit(p, message)
	}
}

// sweep looks at the peers with sessions. A peer that sent packets and got none
// gets a keepalive. A peer that got packets and did not even send a keepalive
// has lost the session, as after a restart.
func (n *Node) sweep(now time.Time, emit Emit) {
	n.sweepAt = time.Time{}
	for _, p := range n.peers {
		s := p.current.Load()
		if s == nil {
			continue
		}
		n.sweepAt = now.Add(sweepEvery)
		sent, heard, data := p.sent.Swap(false), p.heard.Swap(false), p.heardData.Swap(false)
		switch {
		case heard:
			p.silent = 0
		case sent:
			p.silent++
		}
		if p.silent >= silentSweeps {
			p.silent = 0
			s.worn.Store(true)
			if p.attempts == 0 {
				n.attempt(now, p, emit)
			}
		}
		if data && !sent {
			n.sealAndEmit(now, p, nil, emit)
		}
	}
}
