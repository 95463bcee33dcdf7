// SPDX-License-Identifier: Apache-2.0

package route

import (
	"net/netip"
	"time"

	"flanneld/encap"
	"flanneld/internal/packet"
	"flanneld/internal/seal"
)

// Sealing makes lanes seal all they send, and take nothing else. All its
// functions may be called from several lanes at once, must not wait, and must
// keep no part of what they are given.
type Sealing struct {
	// Node has the sessions with the peers.
	Node *seal.Node

	// Handshake takes a message of a handshake. It reports whether there was
	// room for it.
	Handshake func(from netip.AddrPort, message []byte) bool

	// Sighted takes that a packet of a peer, the newest one of its stream, has
	// come from another address than that of the peer's endpoint. For each peer
	// it is called a few times a second at most.
	Sighted func(peer *Peer, from netip.Addr)

	// Send seals a packet of this program and sends it to a peer. It reports
	// whether it was sent, or waits for a session.
	Send func(to *Peer, packet []byte) bool
}

const (
	// sealedArena is room for the sealed packets of one batch, with what seals
	// them, and for one of the longest.
	sealedArena = egressSlab + 64<<10 + maxSealed

	maxSealed = packet.MaxLen + seal.Overhead
)

// sealer seals the packets of an outbox. They are sealed as they are added, so
// that they are read once. The packets themselves stay as they are: one that
// turns out to be too long for its path is cut, and sealed anew. It belongs to
// the lane's goroutine.
type sealer struct {
	lane  int
	arena []byte
	used  int // of arena

	// pieces are the buffers of each message: mostly one, because the datagrams
	// of a train lie end to end.
	pieces [][][]byte
	ends   []int // of the last piece of each message, in the arena

	// Of the current batch:
	now   time.Time
	tally *tally
}

// newSealer makes a sealer for an outbox of so many messages, nil without
// sealing.
func newSealer(s *Sealing, lane, messages int, t *tally) *sealer {
	if s == nil {
		return nil
	}
	pieces := make([][]byte, messages*maxTrain)
	own := &sealer{lane: lane, arena: make([]byte, sealedArena), pieces: make([][][]byte, messages), ends: make([]int, messages), tally: t}
	for i := range own.pieces {
		own.pieces[i] = pieces[i*maxTrain : i*maxTrain : (i+1)*maxTrain]
	}
	return own
}

// at begins a batch.
func (s *sealer) at(now time.Time) {
	if s != nil {
		s.now = now
	}
}

// full reports whether there might be no room for one more packet.
func (s *sealer) full() bool { return s != nil && s.used+maxSealed > len(s.arena) }

// overhead is what sealing adds to a packet, in bytes.
func (s *sealer) overhead() int {
	if s == nil {
		return 0
	}
	return seal.Overhead
}

// seal returns the sealed packet, or nil if there is no session to seal it
// with. The packet then waits for one.
func (s *sealer) seal(p *Peer, from sourcePort, header, payload []byte) []byte {
	size := len(header) + len(payload)
	datagram := s.arena[s.used : s.used+size+seal.Overhead]
	content := datagram[seal.HeaderLen : seal.HeaderLen+size]
	copy(content[copy(content, header):], payload)
	with := p.sealed.Load()
	if with == nil {
		s.tally.drop(NoSession)
		return nil
	}
	if stream := with.Sending(s.stream(from), s.now); stream != nil && stream.Seal(datagram) {
		s.used += len(datagram)
		return datagram
	}
	s.tally.dropMany(NoSession, with.Hold(content))
	s.tally.carried(&p.egress, 1, size)
	return nil
}

// stream numbers what is sealed with a key of its own. The datagrams of a
// stream reach one lane of the receiver, because the receiver's kernel
// distributes by source port.
func (s *sealer) stream(from sourcePort) int {
	if from.express {
		return 2*s.lane + 1
	}
	return 2 * s.lane
}

// begin begins a message.
func (s *sealer) begin(message int) { s.pieces[message], s.ends[message] = s.pieces[message][:0], -1 }

// add adds the datagram that seal returned last to a message, and returns the
// message's buffers.
func (s *sealer) add(message int, datagram []byte) [][]byte {
	list := s.pieces[message]
	start := s.used - len(datagram)
	if last := len(list) - 1; s.ends[message] == start {
		list[last] = list[last][:len(list[last])+len(datagram)]
	} else {
		list = append(list, s.arena[start:s.used])
	}
	s.pieces[message], s.ends[message] = list, s.used
	return list
}

func (s *sealer) reset() {
	if s != nil {
		s.used = 0
	}
}

// acceptSealed is accept in a sealed network.
func (g *ingress) acceptSealed(m *encap.Message, size int) {
	rest := m.Buffers[0][:m.N]
	if len(rest) == 0 {
		g.tally.drop(NotSealed)
	}
	for first := true; len(rest) > 0; {
		train := rest
		var n int
		n, rest = g.sealing.Node.Open(g.now, train, size, &g.opened)
		for i := range g.opened[:n] {
			o := &g.opened[i]
			switch {
			case o.Reason == seal.Handshake:
				message := train[i*size : min((i+1)*size, len(train))]
				if !g.sealing.Handshake(m.Addr, message) {
					g.tally.drop(HandshakeOverflow)
				}
			case o.Reason != seal.OK:
				g.tally.drop(reasonOfSeal(o.Reason))
			case len(o.Packet) > 0: // else it only shows that the peer has the session
				g.take(o.Packet, sender{sealed: o.Peer}, m, first)
				first = false
				if o.Newest {
					g.sight(o.Peer, m.Addr.Addr())
				}
			}
		}
	}
}

// sight reports a peer that sends from another address than it is sent to. It
// needs a packet that admit has let in: of the route of its source, the peer is
// known.
func (g *ingress) sight(by *seal.Peer, from netip.Addr) {
	hop := g.last.hop
	if hop == nil || g.last.from.sealed != by || hop.Endpoint.Addr() == from {
		return
	}
	if hop.Peer.sighted(from, g.now) {
		g.sealing.Sighted(hop.Peer, from)
	}
}

// reasonOfSeal is the reason to drop what cannot be opened.
func reasonOfSeal(r seal.Reason) Reason {
	switch r {
	case seal.UnknownSession:
		return UnknownSession
	case seal.Replayed:
		return Replayed
	case seal.Forged:
		return Forged
	case seal.Expired:
		return SessionExpired
	}
	return NotSealed
}
