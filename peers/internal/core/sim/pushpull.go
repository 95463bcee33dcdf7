// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"flanneld/peers/internal/record"
)

// roll is one side of an exchange of whole states.
type roll struct {
	members   []peer
	state     []byte // whole in a join, else brief
	networked bool   // one live member is in a network
}

func (s *swim) roll(join bool) roll {
	r := roll{members: []peer{s.self}, state: s.h.Core.Brief(), networked: s.h.Core.Inside().Table() != nil}
	if join {
		r.state = s.h.Core.State()
	}
	for _, p := range s.peers {
		m := *p
		r.networked = r.networked || m.state == swimAlive && s.h.World.networked(&m)
		if m.state == swimDead {
			m.state = swimSuspect // it may know better
		}
		r.members = append(r.members, m)
	}
	return r
}

// networked reports whether a member says that it is in a network.
func (w *World) networked(p *peer) bool {
	h := w.at(p.place)
	return h != nil && h.ID == p.id && h.Core != nil && h.Core.Inside().Table() != nil
}

// pushPull exchanges whole states with the host at an address, over a
// connection. In a join, a host in no network takes nothing from hosts that
// know of no network.
func (s *swim) pushPull(place int, join bool) {
	h := s.h
	to := h.World.at(place)
	if to == nil || to == h || !h.connects(to) {
		return
	}
	mine, back, boot := s.roll(join), h.place, h.boots
	from := h.ID
	h.stream(place, mine.size(), func(to *Host) {
		theirs := to.swim.roll(join)
		to.swim.unroll(from, mine, join)
		if to.Core == nil {
			return
		}
		id := to.ID
		to.stream(back, theirs.size(), func(h *Host) {
			if h.boots == boot {
				h.swim.unroll(id, theirs, join)
			}
		})
	})
}

func (s *swim) unroll(from record.NodeID, r roll, join bool) {
	if join && !r.networked && s.h.Core.Inside().Table() == nil {
		return
	}
	boot := s.h.boots
	s.h.World.trace.mix(uint64(s.h.World.Now), uint64(s.h.Index), uint64(crc(r.state)))
	s.h.World.tally[statesExchanged]++
	for i := range r.members {
		m := r.members[i]
		if s.h.boots != boot {
			return
		}
		if m.state == swimAlive || s.byID[m.id] != nil || m.id == s.self.id {
			s.hear(&m)
		}
	}
	if s.h.boots == boot {
		s.h.merge(from, r.state)
	}
}

// lookForOthers is the daemon's join loop: seeds, and a few known members that
// are not up.
func (h *Host) lookForOthers() {
	if !h.up {
		return
	}
	for _, seed := range h.Seeds {
		if p := h.swim.byID[seed.ID]; !h.met || p == nil || p.state > swimSuspect {
			h.swim.pushPull(seed.place, true)
		}
	}
	for _, place := range h.lost() {
		h.swim.pushPull(place, true)
	}
}

// lost are up to three addresses of nodes in the table that are not up.
func (h *Host) lost() []int {
	t := h.Core.Inside().Table()
	if t == nil || len(h.swim.peers)-h.swim.dead() >= len(t.Nodes) {
		return nil
	}
	var ids []record.NodeID
	for id, n := range t.Nodes {
		if p := h.swim.byID[id]; id != h.ID && !n.Rec.Left && (!h.met || p == nil || p.state > swimSuspect) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, record.CompareIDs)
	places := make([]int, 0, len(ids))
	for _, id := range ids {
		places = append(places, placeOf(t.Nodes[id].Rec.Gossip()))
	}
	h.World.rand.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	return places[:min(3, len(places))]
}

func (s *swim) dead() int {
	n := 0
	for _, p := range s.peers {
		if p.state > swimSuspect {
			n++
		}
	}
	return n
}
