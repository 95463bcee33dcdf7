// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Times of the slow path.
const (
	firstRetry  = 500 * time.Millisecond
	lastRetry   = 5 * time.Second // each pause is twice the last one, up to this
	giveUpAfter = 90 * time.Second
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

// Config is what a Node is made of.
type Config struct {
	Self    NodeID
	Network NetworkID
	Private PrivateKey
	Cluster []byte // the cluster key
	// Start rises with every start of this node, see SetStart. Instance is
	// random for each start.
	Start    uint64
	Instance uint64
	Lanes    int // sending lanes, 1 to MaxLanes
	// Suites is what this host prefers. Nil: Preferred. If it is only one, all
	// handshakes of this node begin with it. Handshakes of other nodes are
	// answered with either suite.
	Suites []Suite
	// Wake says that Next may be earlier now. Lanes call it, so it must not
	// wait. It may be nil.
	Wake func()
	// Random is the source of keys. Nil: that of crypto/rand.
	Random io.Reader
}

// Emit sends one datagram to the endpoint of a peer. The bytes are borrowed for
// the call, which must not call the Node. Answers go to the endpoint as well,
// and not to where the question came from. All datagrams of a node must leave
// from one address: cookies are for an address.
type Emit func(to *Peer, datagram []byte)

// Node is this node of a sealed network. Its methods may be called by any
// goroutine. The times given to it come from one clock that never goes back,
// as those of [time.Now] compare.
type Node struct {
	self     NodeID
	network  NetworkID
	private  PrivateKey
	public   [keySize]byte
	instance uint64
	lanes    int
	suites   []Suite
	notify   func()
	random   io.Reader

	index atomic.Pointer[index]
	inbox inbox

	mu      sync.Mutex // guards what follows
	keys    []*clusterKey
	peers   map[NodeID]*Peer
	timers  timers
	now     time.Time // the last one given
	sweepAt time.Time // zero: no sessions
	start   uint64
	counter uint64 // of initiations
	limiter limiter
	bakery  bakery
	rejects [reasons]uint64
	scratch []byte
	closed  bool
}

// New makes a node without peers.
func New(cfg Config) (*Node, error) {
	if cfg.Lanes < 1 || cfg.Lanes > MaxLanes {
		return nil, fmt.Errorf("seal: %d lanes, want 1 to %d", cfg.Lanes, MaxLanes)
	}
	if len(cfg.Cluster) == 0 {
		return nil, errors.New("seal: no cluster key")
	}
	if len(cfg.Suites) == 0 {
		cfg.Suites = Preferred()
	}
	for _, s := range cfg.Suites {
		if !s.known() {
			return nil, fmt.Errorf("seal: %v is not known", s)
		}
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	n := &Node{
		self:     cfg.Self,
		network:  cfg.Network,
		private:  cfg.Private,
		public:   cfg.Private.Public(),
		instance: cfg.Instance,
		start:    cfg.Start,
		lanes:    cfg.Lanes,
		suites:   cfg.Suites,
		notify:   cfg.Wake,
		random:   cfg.Random,
		peers:    map[NodeID]*Peer{},
	}
	n.index.Store(newIndex(minSlots))
	n.keys = []*clusterKey{newClusterKey(cfg.Cluster, n.network, n.public)}
	return n, nil
}

// wake calls Config.Wake.
func (n *Node) wake() {
	if n.notify != nil {
		n.notify()
	}
}

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
	p.suites = append([]Suite(nil), info.Suites...)
	if info.Instance != p.instance {
		p.instance = info.Instance
		if n.endEarlier(p) && info.Eager {
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

// endEarlier ends the sessions with earlier processes of a peer. It reports
// whether there were any.
func (n *Node) endEarlier(p *Peer) (ended bool) {
	earlier := func(s *session) bool { return s != nil && s.peerInstance != p.instance }
	if s := p.current.Load(); earlier(s) {
		p.current.Store(nil)
		n.end(s)
		ended = true
	}
	if earlier(p.previous) {
		n.end(p.previous)
		p.previous, ended = nil, true
	}
	if earlier(p.next) {
		n.end(p.next)
		p.next, ended = nil, true
	}
	return ended
}

// SetStart raises the start number. This node's record has a higher one after a
// move to another address, and where the state directory was restored from an
// older copy. Peers that remember the higher number refuse handshakes with a
// lower one.
func (n *Node) SetStart(start uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.start = max(n.start, start)
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
	current := p.current.Swap(nil)
	n.end(current)
	n.end(p.previous)
	n.end(p.next)
	p.previous, p.next = nil, nil
	clear(p.cookie[:])
	n.timers.set(p)
	delete(n.peers, p.id)
}

// end ends a session, or does nothing for nil.
func (n *Node) end(s *session) {
	if s != nil {
		n.index.Load().remove(s)
		s.end()
	}
}

// addIndex makes a session findable.
func (n *Node) addIndex(s *session) {
	n.index.Store(n.index.Load().add(s))
}

// SetCluster changes the cluster keys. Handshakes begin with the first one. All
// are accepted, so that nodes can change their keys one after the other. A
// session that was made with a key that is gone asks for the next handshake
// with its next packet.
func (n *Node) SetCluster(keys ...[]byte) error {
	if len(keys) == 0 {
		return errors.New("seal: no cluster key")
	}
	defer n.wake()
	n.mu.Lock()
	defer n.mu.Unlock()
	old := n.keys
	n.keys = nil
	for _, key := range keys {
		n.keys = append(n.keys, n.sameOrNew(old, key))
	}
	for _, key := range old {
		if !holds(n.keys, key) {
			n.retire(key)
		}
	}
	return nil
}

// sameOrNew returns the entry of a cluster key in a list, or a new one.
func (n *Node) sameOrNew(old []*clusterKey, cluster []byte) *clusterKey {
	key := newClusterKey(cluster, n.network, n.public)
	for _, o := range old {
		if subtle.ConstantTimeCompare(o.psk[:], key.psk[:]) == 1 {
			return o
		}
	}
	return key
}

func holds(keys []*clusterKey, key *clusterKey) bool {
	for _, k := range keys {
		if k == key {
			return true
		}
	}
	return false
}

// retire wipes a cluster key, and lets the sessions that it vouched for be
// replaced.
func (n *Node) retire(key *clusterKey) {
	for _, p := range n.peers {
		if s := p.current.Load(); s != nil && s.cluster == key {
			s.worn.Store(true)
		}
		if p.handshake != nil && p.handshake.session.cluster == key {
			n.dropHandshake(p) // the next attempt has another key
		}
		if p.next != nil && p.next.cluster == key {
			n.end(p.next)
			p.next = nil
		}
		n.timers.set(p)
	}
	key.wipe()
}

// Handle takes a datagram of the handshake from an address, and emits the
// answer. It returns OK, or why the datagram was refused.
func (n *Node) Handle(now time.Time, from netip.Addr, datagram []byte, emit Emit) Reason {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = now
	reason := n.handle(now, from, datagram, emit)
	n.rejects[reason]++
	return reason
}

func (n *Node) handle(now time.Time, from netip.Addr, datagram []byte, emit Emit) Reason {
	if n.closed || len(datagram) == 0 {
		return Malformed
	}
	switch datagram[0] {
	case typeInitiation:
		return n.answer(now, from, datagram, emit)
	case typeResponse:
		return n.finish(now, datagram, emit)
	case typeCookie:
		return n.take(now, datagram)
	}
	return Malformed
}

// Send seals one packet in the stream of the slow path, and emits it. Without a
// session the packet waits. It returns how many packets were dropped, see
// [Peer.Hold].
func (n *Node) Send(now time.Time, p *Peer, packet []byte, emit Emit) (dropped int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = now
	if n.sealAndEmit(now, p, packet, emit) {
		return 0
	}
	return p.Hold(packet)
}

// sealAndEmit sends a packet, or with none a keepalive, if there is a session.
func (n *Node) sealAndEmit(now time.Time, p *Peer, packet []byte, emit Emit) bool {
	st := p.Sending(slowStream, now)
	if st == nil {
		return false
	}
	n.scratch = append(n.scratch[:0], make([]byte, HeaderLen)...)
	n.scratch = append(n.scratch, packet...)
	n.scratch = append(n.scratch, make([]byte, TagLen)...)
	if !st.Seal(n.scratch) {
		return false
	}
	emit(p, n.scratch)
	return true
}

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
// waited, keepalives, and the end of old sessions.
func (n *Node) Tick(now time.Time, emit Emit) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = now
	asked, confirmed := n.inbox.take()
	if n.closed {
		return
	}
	for _, s := range confirmed {
		n.confirm(now, s, emit)
	}
	for _, p := range asked {
		n.oblige(now, p, emit)
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
	if current := p.current.Load(); current != nil && !current.expired(now) && current.born.After(s.born) {
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
	if s := p.current.Load(); s != nil && s.expired(now) {
		p.current.Store(nil)
		n.end(s)
	}
	if p.previous != nil && p.previous.expired(now) {
		n.end(p.previous)
		p.previous = nil
	}
	if p.next != nil && p.next.expired(now) {
		n.end(p.next)
		p.next = nil
	}
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

// Close ends all sessions and wipes the keys. The node is of no use after that.
func (n *Node) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		n.drop(p)
	}
	for _, key := range n.keys {
		key.wipe()
	}
	clear(n.private[:])
	clear(n.bakery.secret[:])
	n.timers, n.sweepAt, n.closed = nil, time.Time{}, true
}

// vary returns a duration or number that differs by up to 10 %.
func (n *Node) vary(d time.Duration) time.Duration {
	part := d / 100 * jitter
	return d - part + n.spread(2*part)
}

// spread returns a random duration below d.
func (n *Node) spread(d time.Duration) time.Duration {
	var b [8]byte
	if _, err := io.ReadFull(n.random, b[:]); err != nil || d <= 0 {
		return 0
	}
	return time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(d))
}
