// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"flanneld/internal/host"
	"flanneld/internal/plan"
	"flanneld/internal/seal"
	"flanneld/peers"
	"flanneld/route"
)

const (
	// handshakeRoom is how many messages of handshakes may wait. What is more
	// is dropped, so a flood takes memory of 1 MB at most.
	handshakeRoom = 1024

	// maxHandshake is the longest message of a handshake, in bytes. Longer ones
	// cannot be right.
	maxHandshake = 256

	// sightRoom is how many sights may wait. What is more comes again within a
	// second.
	sightRoom = 256

	// shortRest and longRest are how long the sealer rests after it has refused
	// messages, at least and at most. A message that fits waits no longer.
	shortRest, longRest = time.Millisecond, 10 * time.Millisecond

	// eagerPeers is the largest network in which handshakes go ahead of
	// traffic. In larger ones most pairs of nodes never exchange a packet.
	eagerPeers = 256
)

// Sealer keeps the sessions of a sealed network. It outlives planes, because
// sessions do. Its methods may be called concurrently.
type Sealer struct {
	node  *seal.Node
	inbox chan message
	wake  chan struct{} // capacity one
	plane atomic.Pointer[Plane]
	log   *slog.Logger

	// routes are told of what is sighted; nil: not yet.
	routes atomic.Pointer[Routes]
	sights chan sight

	// reached has the endpoint of each peer. The map is never changed.
	reached atomic.Pointer[map[*seal.Peer]*route.Peer]
	peers   map[seal.NodeID]bool // that have sessions; follow's

	rest time.Duration // after refused messages; Run's
}

// sight is where a lane has sighted a peer.
type sight struct {
	peer *route.Peer
	from netip.Addr
}

// session is what a peer has its sessions by.
type session struct {
	*seal.Peer        // nil: it has none
	start      uint64 // of its record
}

// message is one message of a handshake.
type message struct {
	from netip.Addr
	n    int
	data [maxHandshake]byte
}

// NewSealer makes a sealer for the lanes of the settings. self is the node as
// it is at its start.
func (s Settings) NewSealer(network peers.NetworkID, self peers.NodeInfo, secrets peers.SealSecrets, suites []seal.Suite) (*Sealer, error) {
	own := &Sealer{
		inbox: make(chan message, handshakeRoom), wake: make(chan struct{}, 1), sights: make(chan sight, sightRoom), log: s.Log,
	}
	own.reached.Store(&map[*seal.Peer]*route.Peer{})
	node, err := seal.New(seal.Config{
		Self: seal.NodeID(self.ID), Network: seal.NetworkID(network), Private: seal.PrivateKey(secrets.Private), Cluster: secrets.Cluster[0][:],
		Start: self.Start, Instance: self.Instance, Lanes: s.AllLanes(), Suites: suites, Wake: func() { host.Poke(own.wake) },
	})
	if err != nil {
		return nil, err
	}
	own.node = node
	return own, own.SetCluster(secrets)
}

// SetCluster takes over other cluster keys. Sessions go on.
func (s *Sealer) SetCluster(secrets peers.SealSecrets) error {
	keys := make([][]byte, len(secrets.Cluster))
	for i := range secrets.Cluster {
		keys[i] = secrets.Cluster[i][:]
	}
	return s.node.SetCluster(keys...)
}

// SealStatus is what the sessions of a sealed network are doing.
type SealStatus struct {
	Peers    map[string]seal.PeerStatus // by node ID
	Rejected map[seal.Reason]uint64     // messages of handshakes
}

// Status is what the sessions are doing now.
func (s *Sealer) Status() SealStatus {
	now := time.Now()
	status := SealStatus{Peers: map[string]seal.PeerStatus{}, Rejected: s.node.Rejected()}
	for _, p := range s.node.Status(now) {
		status.Peers[peers.NodeID(p.ID).String()] = p
	}
	return status
}

// Run carries messages of handshakes between the sockets and the sessions, and
// keeps their times, until ctx ends. Then all keys are gone.
func (s *Sealer) Run(ctx context.Context) {
	defer s.node.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-s.inbox:
			s.takeFrom(m)
		case one := <-s.sights:
			if routes := s.routes.Load(); routes != nil {
				routes.sighted(time.Now(), one.peer, one.from)
			}
		case <-s.wake:
		case <-timer.C:
		}
		if s.plane.Load() == nil {
			continue // what would be sent now is lost; Use wakes
		}
		s.node.Tick(time.Now(), s.emit)
		next, roams := s.node.Next(), s.roam(time.Now())
		if next.IsZero() || !roams.IsZero() && roams.Before(next) {
			next = roams
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// roam asks the peers that roam what is to be asked now. next is when there is
// more to do; zero: nothing is planned.
func (s *Sealer) roam(now time.Time) (next time.Time) {
	routes := s.routes.Load()
	if routes == nil {
		return next
	}
	return routes.roam(now, func(p *seal.Peer, to netip.AddrPort, number uint64) (uint64, bool) {
		return s.node.Question(now, p, number, func(_ *seal.Peer, datagram []byte) { _ = s.deliverAt(to, datagram) })
	})
}

// takeFrom handles a message, and what has come behind it. After messages that
// were refused it rests: lanes then need not wake it for each message of a
// flood. Messages that fit are never delayed by themselves.
func (s *Sealer) takeFrom(m message) {
	taken, refused := 0, false
	for range handshakeRoom {
		taken++
		if s.node.Handle(time.Now(), m.from, m.data[:m.n], s.emit) != seal.OK {
			refused = true
		}
		select {
		case m = <-s.inbox:
			continue
		default:
		}
		break
	}
	if s.rest = restAfter(s.rest, taken, refused); s.rest > 0 {
		time.Sleep(s.rest)
	}
}

// restAfter is how long to rest after so many messages, where the last rest was
// that long. To be woken costs more than to refuse a message, and more often
// than a hundred times a second it would cost the packets of others. The inbox
// must not become full meanwhile.
func restAfter(last time.Duration, taken int, refused bool) time.Duration {
	switch {
	case !refused:
		return 0
	case taken > handshakeRoom/2:
		last /= 2
	case taken < handshakeRoom/4:
		last *= 2
	}
	return min(max(last, shortRest), longRest)
}

// Handshake takes a message from a lane.
func (s *Sealer) Handshake(from netip.AddrPort, data []byte) bool {
	if len(data) > maxHandshake {
		return false
	}
	m := message{from: from.Addr(), n: len(data)}
	copy(m.data[:], data)
	select {
	case s.inbox <- m:
		return true
	default:
		return false
	}
}

// Sighted takes from a lane that a peer sends from another address than it is
// sent to.
func (s *Sealer) Sighted(peer *route.Peer, from netip.Addr) {
	select {
	case s.sights <- sight{peer, from}:
	default:
	}
}

// Use makes a plane carry what the sessions send; nil: there is none.
func (s *Sealer) Use(p *Plane) {
	s.plane.Store(p)
	host.Poke(s.wake)
}

// errNoKey is returned for a peer that has announced no key.
var errNoKey = errors.New("the peer has announced no key to seal with")

// send seals a packet of this program and sends it to a peer, or lets it wait
// for a session. The error is of the socket.
func (s *Sealer) send(to *route.Peer, packet []byte) (err error) {
	sealed := to.Sealed()
	if sealed == nil {
		return errNoKey
	}
	s.node.Send(time.Now(), sealed, packet, func(to *seal.Peer, datagram []byte) { err = s.deliver(to, datagram) })
	return err
}

// emit sends a datagram that the sessions have made. What the kernel does not
// take is lost, as on any network: handshakes are repeated.
func (s *Sealer) emit(to *seal.Peer, datagram []byte) { _ = s.deliver(to, datagram) }

func (s *Sealer) deliver(to *seal.Peer, datagram []byte) error {
	peer := (*s.reached.Load())[to]
	if peer == nil {
		return net.ErrClosed
	}
	return s.deliverAt(peer.Endpoint(), datagram)
}

func (s *Sealer) deliverAt(endpoint netip.AddrPort, datagram []byte) error {
	p := s.plane.Load()
	if p == nil || !endpoint.IsValid() {
		return net.ErrClosed
	}
	return p.express().SendOne(endpoint, datagram)
}

// follow takes over the peers of a plan: a node that is not in it any more, or
// has another key, has no session from now on. It returns the sessions by the
// ID of the route. Calls must not overlap, and reach follows each.
func (s *Sealer) follow(p plan.Plan, snapshot *peers.Snapshot) map[string]session {
	nodes, now := snapshot.NodesByID(), time.Now()
	s.node.SetStart(snapshot.Self.Start)
	eager := len(p.Routes) <= eagerPeers
	byRoute, next := map[string]session{}, map[seal.NodeID]bool{}
	for _, r := range p.Routes {
		n := nodes[r.Node]
		if r.Kind == route.Local || r.Node.IsZero() || !r.Endpoint.IsValid() || len(n.SealKey) != len(seal.PrivateKey{}) {
			continue
		}
		id := seal.NodeID(n.ID)
		peer := s.node.SetPeer(now, seal.PeerInfo{
			ID: id, Key: [32]byte(n.SealKey), Instance: n.Instance, Suites: plan.Suites(n.Caps), Eager: eager && r.Live,
		})
		byRoute[r.ID], next[id] = session{peer, n.Start}, true
	}
	for id := range s.peers {
		if !next[id] {
			s.node.RemovePeer(id)
		}
	}
	s.peers = next
	return byRoute
}

// reach takes where the peers of the sessions are: datagrams go to the endpoint
// that each has at the time.
func (s *Sealer) reach(all map[*seal.Peer]*route.Peer) {
	s.reached.Store(&all)
	host.Poke(s.wake)
}
