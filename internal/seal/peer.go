// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"sync"
	"sync/atomic"
	"time"
)

// PeerInfo is what a peer's signed record says.
type PeerInfo struct {
	ID  NodeID
	Key [keySize]byte // X25519 public key
	// Instance is a number that the peer drew when it started. With another
	// one, sessions with the earlier process end: it has forgotten the keys.
	Instance uint64
	// Suites is what the peer prefers, the first one most. Empty: not known.
	Suites []Suite
	// Eager peers get a handshake ahead of traffic, others with the first
	// packet.
	Eager bool
}

// Peer is another node of the network. A Peer is valid until its node is
// removed or gets a new key. After that it sends nothing any more.
type Peer struct {
	node *Node
	id   NodeID
	key  [keySize]byte

	current atomic.Pointer[session] // to send with; nil: none
	removed atomic.Bool

	asked atomic.Bool // a handshake is wanted, or under way

	// Numbers of questions: the one that waits for its answer, and the last one
	// that got one. 0: none.
	asking   atomic.Uint64
	answered atomic.Uint64

	// Since the last sweep: a packet was sent, a datagram was heard, and one
	// with a packet inside.
	sent      atomic.Bool
	heard     atomic.Bool
	heardData atomic.Bool

	queueMu sync.Mutex
	queue   queue
	dropped uint64 // of the queue

	// The node's lock guards what follows.

	suites   []Suite
	instance uint64
	previous *session // opens, as long as it lives
	next     *session // waits for the first datagram of the peer

	handshake    *handshake // of this node, waits for its answer
	attempts     int        // since firstAttempt
	firstAttempt time.Time
	attemptAt    time.Time // when the next one begins; zero: none
	cookie       [cookieSize]byte
	cookieAt     time.Time // when the cookie came; zero: none

	// The highest of the peer's initiations.
	lastStart   uint64
	lastCounter uint64

	silent int // sweeps in a row after which nothing was heard

	due    time.Time // of the timer
	timer  int       // where it is in the heap; -1: not there
	counts peerCounts
}

type peerCounts struct {
	handshakes uint64 // sessions that began
	rekeys     uint64 // of these, while there was another one
	failed     uint64 // series of attempts without an answer
}

// ID is the peer's node ID.
func (p *Peer) ID() NodeID { return p.id }

// Sending returns a stream of the newest session that may send, or nil if there
// is none. A lane asks once a batch, and must not keep the stream. Where a
// session grows old, it asks for the next handshake.
//
// stream is below twice the number of lanes. Each number belongs to one
// goroutine.
func (p *Peer) Sending(stream int, now time.Time) *Stream {
	s := p.current.Load()
	if s == nil || s.expired(now) {
		return nil
	}
	if s.wantsSuccessor(now) {
		p.ask()
	}
	return s.stream(stream)
}

// Hold keeps a copy of a packet until there is a session, and asks for a
// handshake. At most 128 KB wait. dropped is how many packets, the oldest
// first, had to go.
func (p *Peer) Hold(packet []byte) (dropped int) {
	p.queueMu.Lock()
	if p.removed.Load() {
		dropped = 1
	} else {
		dropped = p.queue.push(packet)
	}
	p.dropped += uint64(dropped)
	p.queueMu.Unlock()
	p.ask()
	return dropped
}

// ask wakes the slow path, once for each handshake.
func (p *Peer) ask() {
	if p.removed.Load() || p.asked.Load() || !p.asked.CompareAndSwap(false, true) {
		return
	}
	p.node.inbox.ask(p)
	p.node.wake()
}

// hear notes that datagrams of a session were accepted. It takes out what is no
// packet.
func (p *Peer) hear(now time.Time, s *session, opened []Opened) {
	data := false
	newest := p.current.Load() == s
	for i := range opened {
		o := &opened[i]
		if kind, number, ok := parseQuestion(o.Packet); ok {
			p.hearQuestion(now, s, kind, number)
			o.Packet = o.Packet[:0]
		}
		data = data || len(o.Packet) > 0
		o.Newest = o.Newest && newest
	}
	if !p.heard.Load() {
		p.heard.Store(true)
	}
	if data && !p.heardData.Load() {
		p.heardData.Store(true)
	}
	if !s.confirmed.Load() && s.confirmed.CompareAndSwap(false, true) {
		p.node.inbox.confirm(s)
		p.node.wake()
	}
}

// inbox is what lanes leave for the slow path.
type inbox struct {
	mu        sync.Mutex
	asked     []*Peer
	confirmed []*session
	questions []question
}

// question is what a peer has asked.
type question struct {
	from   *Peer
	number uint64
}

func (b *inbox) ask(p *Peer) {
	b.mu.Lock()
	b.asked = append(b.asked, p)
	b.mu.Unlock()
}

func (b *inbox) confirm(s *session) {
	b.mu.Lock()
	b.confirmed = append(b.confirmed, s)
	b.mu.Unlock()
}

func (b *inbox) question(from *Peer, number uint64) {
	b.mu.Lock()
	b.questions = append(b.questions, question{from, number})
	b.mu.Unlock()
}

func (b *inbox) take() (asked []*Peer, confirmed []*session, questions []question) {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked, confirmed, questions = b.asked, b.confirmed, b.questions
	b.asked, b.confirmed, b.questions = nil, nil, nil
	return asked, confirmed, questions
}

func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.asked)+len(b.confirmed)+len(b.questions) == 0
}
