// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math"
	"slices"

	"flanneld/peers/internal/record"
)

// rumor is one piece of news: about a member, or a message of the core's.
type rumor struct {
	about *peer // a copy
	key   string
	msg   []byte
	sends int
}

// tell queues a rumor; a newer one with its key takes its place.
func (s *swim) tell(r *rumor) {
	s.news = slices.DeleteFunc(s.news, func(o *rumor) bool { return o.key == r.key })
	s.news = append(s.news, r)
	if !s.telling {
		s.telling = true
		boot := s.h.boots
		s.h.World.after(s.h.World.between(0, gossipEvery), func() { s.gossip(boot) })
	}
}

// gossip tells some members some of the news, as long as there is any.
func (s *swim) gossip(boot int) {
	if s.h.boots != boot {
		return
	}
	s.h.deliver(func() {
		if s.h.up {
			s.tellSome()
		}
		if len(s.news) == 0 {
			s.telling = false
			return
		}
		s.h.World.after(gossipEvery, func() { s.gossip(boot) })
	})
}

func (s *swim) tellSome() {
	if len(s.peers) == 0 {
		return
	}
	limit := retransmits * int(math.Ceil(math.Log10(float64(len(s.peers)+2))))
	for _, p := range s.listeners() {
		packet, size := s.pack(limit)
		if len(packet) == 0 {
			return
		}
		from, at := s.self, s.h.place
		s.h.datagram(p.place, size, func(to *Host) {
			to.World.trace.mix(uint64(to.World.Now), uint64(to.Index), uint64(from.gen), uint64(len(packet)))
			to.swim.wrote(from.id, at)
			to.swim.take(packet)
		})
	}
}

// listeners are a few members at random. The dead are told of their death for a
// while, so that a member that was only paused can object.
func (s *swim) listeners() []*peer {
	var some []*peer
	n := len(s.peers)
	for range min(3*gossipFanout, 4*n) {
		p := s.peers[s.h.World.rand.IntN(n)]
		if (p.state <= swimSuspect || s.h.World.Now-p.since < tellDeadFor) && !slices.Contains(some, p) {
			some = append(some, p)
		}
		if len(some) == gossipFanout {
			break
		}
	}
	return some
}

// pack takes the news that was told least often, as much as fits.
func (s *swim) pack(limit int) (packet []*rumor, size int) {
	slices.SortStableFunc(s.news, func(a, b *rumor) int { return a.sends - b.sends })
	kept := s.news[:0]
	for _, r := range s.news {
		if size+r.size() <= packetRoom {
			size += r.size()
			packet = append(packet, r)
			r.sends++
		}
		if r.sends < limit {
			kept = append(kept, r)
		}
	}
	s.news = kept
	return packet, size
}

// take handles a packet of rumors.
func (s *swim) take(packet []*rumor) {
	boot := s.h.boots
	for _, r := range packet {
		if s.h.boots != boot {
			return
		}
		if r.about != nil {
			about := *r.about
			s.hear(&about)
		} else {
			s.h.receive(record.NodeID{}, 0, r.msg)
		}
	}
}

// farewell tells that this member leaves.
func (s *swim) farewell() {
	s.self.state = swimLeft
	told := s.self
	s.tell(&rumor{about: &told, key: "member " + string(told.id[:])})
	if s.h.up {
		s.tellSome()
	}
}
