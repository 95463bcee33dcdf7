// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"crypto/subtle"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/flynn/noise"
)

// handshake is one that this node has begun.
type handshake struct {
	state   *noise.HandshakeState
	session *session // pending, holds the index
	guard   guard    // for messages to the peer
	began   time.Time
	mac1    [macSize]byte
}

// prologue is what both sides must agree on before they begin.
func (n *Node) prologue(suite Suite, initiator, responder NodeID) []byte {
	b := append([]byte("flanneld sealed 1"), n.network[:]...)
	b = append(b, byte(suite))
	b = append(b, initiator[:]...)
	return append(b, responder[:]...)
}

func (n *Node) newState(initiator bool, suite Suite, psk *[keySize]byte, prologue, peerKey []byte) (*noise.HandshakeState, error) {
	return noise.NewHandshakeState(noise.Config{
		CipherSuite:           suite.noise(),
		Random:                n.random,
		Pattern:               noise.HandshakeIK,
		Initiator:             initiator,
		Prologue:              prologue,
		PresharedKey:          psk[:],
		PresharedKeyPlacement: 2,
		StaticKeypair:         noise.DHKey{Private: n.private[:], Public: n.public[:]},
		PeerStatic:            peerKey,
	})
}

// content is what this node says of itself in a handshake.
func (n *Node) content() content {
	return content{start: n.start, instance: n.instance, lanes: uint8(n.lanes)}
}

// initiate begins a handshake and returns message 1.
func (n *Node) initiate(now time.Time, p *Peer) ([]byte, error) {
	key := n.keys[(p.attempts-1)%len(n.keys)]
	suite := choose(n.suites, p.suites)
	state, err := n.newState(true, suite, &key.psk, n.prologue(suite, n.self, p.id), p.key[:])
	if err != nil {
		return nil, err
	}
	index, err := n.index.Load().free(n.random)
	if err != nil {
		return nil, err
	}
	n.counter++
	inside := n.content()
	inside.counter = n.counter
	m := initiation{suite: suite, index: index, from: n.self}
	message, _, _, err := state.WriteMessage(m.head(make([]byte, 0, initiationSize)), inside.append(nil))
	if err != nil {
		return nil, err
	}
	message = message[:initiationSize]
	h := &handshake{
		state:   state,
		session: &session{peer: p, index: index, suite: suite, cluster: key, initiator: true, pending: true},
		guard:   newGuard(&key.psk, p.key),
		began:   now,
	}
	var cookie *[cookieSize]byte
	if !p.cookieAt.IsZero() && now.Sub(p.cookieAt) < cookieLife {
		cookie = &p.cookie
	}
	h.mac1 = h.guard.sign(message, cookie)
	p.handshake = h
	n.addIndex(h.session)
	return message, nil
}

// dropHandshake forgets the handshake that this node has begun with a peer.
func (n *Node) dropHandshake(p *Peer) {
	if h := p.handshake; h != nil {
		n.index.Load().remove(h.session)
		h.guard.wipe()
		p.handshake = nil
	}
}

// answer reads message 1 and answers it with message 2, or with a cookie. The
// cheap checks come first.
func (n *Node) answer(now time.Time, from netip.Addr, datagram []byte, emit Emit) Reason {
	m, ok := parseInitiation(datagram)
	if !ok {
		return Malformed
	}
	key := n.keyOf(datagram)
	if key == nil {
		return WrongClusterKey
	}
	p := n.peers[m.from]
	if p == nil {
		return UnknownNode
	}
	if p.handshake != nil && p.attempts == 1 && n.before(p) {
		return Crossed
	}
	if reason := n.admit(now, from, p, key, &m, datagram, emit); reason != OK {
		return reason
	}
	state, err := n.newState(false, m.suite, &key.psk, n.prologue(m.suite, p.id, n.self), nil)
	if err != nil {
		return Forged
	}
	inside, _, _, err := state.ReadMessage(nil, m.noise)
	if err != nil {
		return Forged
	}
	if subtle.ConstantTimeCompare(state.PeerStatic(), p.key[:]) != 1 {
		return WrongKey
	}
	c, ok := parseContent(inside)
	if !ok {
		return Malformed
	}
	if c.start < p.lastStart || c.start == p.lastStart && c.counter <= p.lastCounter {
		return Stale
	}
	p.lastStart, p.lastCounter = c.start, c.counter
	return n.respond(now, p, key, state, &m, &c, emit)
}

// before reports whether this node's handshake wins where both have begun one.
// Once the first attempt has failed, either may win.
func (n *Node) before(p *Peer) bool { return bytes.Compare(n.self[:], p.id[:]) < 0 }

// keyOf returns the cluster key with which a message to this node was signed,
// or nil.
func (n *Node) keyOf(message []byte) *clusterKey {
	for _, key := range n.keys {
		if key.own.checkFirst(message) {
			return key
		}
	}
	return nil
}

// admit decides whether a source may begin a handshake now. Under load it must
// first prove that the address is its own: the cookie goes to the endpoint of
// the peer that it says it is.
func (n *Node) admit(now time.Time, from netip.Addr, p *Peer, key *clusterKey, m *initiation, datagram []byte, emit Emit) Reason {
	if n.limiter.underLoad(now) {
		cookie, err := n.bakery.cookie(now, from, n.random)
		if err != nil {
			return Busy
		}
		if !checkSecond(datagram, cookie) {
			reply := cookieReply{to: m.index}
			if key.own.sealCookie(&reply, cookie, datagram, n.random) == nil {
				emit(p, reply.append(make([]byte, 0, cookieReplySize)))
			}
			return Busy
		}
	}
	if !n.limiter.allow(now, from) {
		return RateLimited
	}
	return OK
}

// respond sends message 2. The session then waits for the first datagram of the
// initiator: until then the message can be a replay, sent to a node that has
// forgotten it.
func (n *Node) respond(now time.Time, p *Peer, key *clusterKey, state *noise.HandshakeState, m *initiation, c *content, emit Emit) Reason {
	index, err := n.index.Load().free(n.random)
	if err != nil {
		return Busy
	}
	r := response{index: index, to: m.index}
	inside := n.content()
	message, toHere, fromHere, err := state.WriteMessage(r.head(make([]byte, 0, responseSize)), inside.append(nil))
	if err != nil {
		return Forged
	}
	message = message[:responseSize]
	g := newGuard(&key.psk, p.key)
	g.sign(message, nil)
	g.wipe()
	s := n.newSession(now, p, &session{index: index, remote: m.index, suite: m.suite, cluster: key}, c)
	s.send, s.open = fromHere.UnsafeKey(), toHere.UnsafeKey()
	if !n.before(p) {
		n.dropHandshake(p) // the other one wins; attemptAt stays, in case it fails
	}
	n.await(p, s)
	n.addIndex(s)
	n.timers.set(p)
	emit(p, message)
	return OK
}

// await makes a session the next one. One that waited in vain ends. One that
// the peer sends with, while this node sends with a newer one, goes on opening.
func (n *Node) await(p *Peer, s *session) {
	if old := p.next; old != nil && old.confirmed.Load() {
		n.end(p.previous)
		p.previous = old
	} else {
		n.end(old)
	}
	p.next = s
}

// begun returns the session of the handshake that this node has begun with an
// index, or nil if it is under way no more.
func (n *Node) begun(number uint32) *session {
	s := n.index.Load().get(number)
	if s == nil || s.peer.handshake == nil || s.peer.handshake.session != s {
		return nil
	}
	return s
}

// finish reads message 2.
func (n *Node) finish(now time.Time, datagram []byte, emit Emit) Reason {
	r, ok := parseResponse(datagram)
	if !ok {
		return Malformed
	}
	pending := n.begun(r.to)
	if pending == nil {
		return Unexpected
	}
	p := pending.peer
	if now.Sub(p.handshake.began) >= answerWithin {
		return Expired
	}
	if !pending.cluster.own.checkFirst(datagram) {
		return WrongClusterKey
	}
	inside, fromHere, toHere, err := p.handshake.state.ReadMessage(nil, r.noise)
	if err != nil {
		return Forged
	}
	c, ok := parseContent(inside)
	if !ok {
		return Malformed
	}
	// The session is as old as message 1. So the peer, which made it later,
	// does not refuse it before this node does.
	s := n.newSession(p.handshake.began, p, &session{index: r.to, remote: r.index, suite: pending.suite, cluster: pending.cluster, initiator: true}, &c)
	s.send, s.open = fromHere.UnsafeKey(), toHere.UnsafeKey()
	s.confirmed.Store(true)
	n.dropHandshake(p)
	n.addIndex(s)
	n.use(now, p, s, emit)
	return OK
}

// take reads a cookie, and lets the handshake begin again soon.
func (n *Node) take(now time.Time, datagram []byte) Reason {
	m, ok := parseCookieReply(datagram)
	if !ok {
		return Malformed
	}
	pending := n.begun(m.to)
	if pending == nil {
		return Unexpected
	}
	p := pending.peer
	cookie, ok := p.handshake.guard.openCookie(&m, p.handshake.mac1)
	if !ok {
		return Forged
	}
	p.cookie, p.cookieAt = cookie, now
	p.attemptAt = now.Add(n.spread(cookiePause))
	n.timers.set(p)
	return OK
}

// newSession completes a session, all but its keys.
func (n *Node) newSession(born time.Time, p *Peer, s *session, c *content) *session {
	n.made++
	s.peer, s.number, s.born, s.peerInstance = p, n.made, born, c.instance
	after := n.vary(rekeyAfter)
	if !s.initiator {
		after += responderLater
	}
	s.rekeyAt, s.refuseAt = born.Add(after), born.Add(refuseAfter)
	s.rekeyPackets = uint64(n.vary(rekeyPackets))
	s.sending = make([]atomic.Pointer[Stream], 2*n.lanes+1)
	s.receiving = make([]atomic.Pointer[inflow], 2*int(c.lanes)+1)
	return s
}
