// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
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
	made    uint64 // sessions
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
