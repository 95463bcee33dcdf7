// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"crypto/cipher"
	"time"
)

// MaxTrain is how many datagrams one call of [Node.Open] opens at most: as many
// as the kernel puts into one train.
const MaxTrain = 64

// Opened is what became of one datagram.
type Opened struct {
	// Packet is part of the datagram's memory. It is nil if Reason is not OK,
	// and empty for what the peer's [Node] itself has sent.
	Packet []byte
	Peer   *Peer // the sender, if Reason is OK
	Reason Reason
	// Newest: no datagram with a higher counter was accepted before in this
	// stream, and the session is the current one. Only the address that such a
	// datagram comes from says where the peer may be now.
	Newest bool

	nonce   [nonceSize]byte // here, because a nonce on the stack would escape
	counter uint64
}

// inflow is a receiving stream of one session.
type inflow struct {
	aead   cipher.AEAD
	window window
}

// run is a sequence of datagrams in a train with consecutive counters of one
// stream.
type run struct {
	session *session
	inflow  *inflow
	stream  uint8
	from    int // of the first one, in the train
	n       int
}

// Open opens the datagrams of a train in place, and fills out. Each datagram
// has size bytes, the last may be shorter; size 0 stands for a single datagram.
// rest is what did not fit into out. Several goroutines may call it at once,
// with trains and outs of their own.
//
// A datagram that was accepted before is refused, also when two goroutines have
// a copy each. A message of the handshake gets the reason Handshake and stays
// as it is.
func (n *Node) Open(now time.Time, train []byte, size int, out *[MaxTrain]Opened) (count int, rest []byte) {
	if size <= 0 {
		size = len(train)
	}
	var r run
	for count < MaxTrain && len(train) > 0 {
		length := min(size, len(train))
		n.openOne(now, train[:length:length], out, count, &r)
		train = train[length:]
		count++
	}
	r.commit(now, out)
	return count, train
}

// openOne opens datagram i of a train, and adds it to the run.
func (n *Node) openOne(now time.Time, datagram []byte, out *[MaxTrain]Opened, i int, r *run) {
	o := &out[i]
	o.Packet, o.Peer, o.Newest = nil, nil, false
	if isHandshake(datagram) {
		o.Reason = Handshake
		return
	}
	h, ok := parseHeader(datagram)
	if !ok || h.counter >= refusePackets {
		o.Reason = Malformed
		return
	}
	if r.n == 0 || r.session.index != h.index || r.stream != h.stream || r.from+r.n != i || out[i-1].counter+1 != h.counter {
		r.commit(now, out)
		s := n.index.Load().find(h.index)
		if s == nil {
			o.Reason = UnknownSession
			return
		}
		if s.expired(now) {
			o.Reason = Expired
			return
		}
		in := s.inflow(h.stream)
		if in == nil {
			o.Reason = UnknownSession
			return
		}
		*r = run{session: s, inflow: in, stream: h.stream, from: i}
	}
	if !r.inflow.window.fresh(h.counter) {
		o.Reason = Replayed
		return
	}
	o.counter = h.counter
	putNonce(&o.nonce, h.counter)
	sealed := datagram[HeaderLen:]
	packet, err := r.inflow.aead.Open(sealed[:0], o.nonce[:], sealed, datagram[:HeaderLen])
	if err != nil {
		o.Reason = Forged
		return
	}
	o.Packet, o.Peer, o.Reason = packet, r.session.peer, OK
	r.n++
}

// commit enters the run into the window of its stream, and begins an empty one.
// Mostly all datagrams are accepted at once. If another goroutine was faster
// with some, each one is decided alone.
func (r *run) commit(now time.Time, out *[MaxTrain]Opened) {
	if r.n == 0 {
		return
	}
	opened := out[r.from : r.from+r.n]
	accepted, highest := r.inflow.window.commit(opened[0].counter, r.n)
	any := accepted
	opened[r.n-1].Newest = highest
	if !accepted {
		for i := range opened {
			o := &opened[i]
			if accepted, o.Newest = r.inflow.window.commit(o.counter, 1); accepted {
				any = true
				continue
			}
			o.Packet, o.Peer, o.Reason = nil, nil, Replayed
		}
	}
	if any {
		r.session.peer.hear(now, r.session, opened)
	}
	r.n = 0
}
