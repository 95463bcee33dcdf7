// SPDX-License-Identifier: Apache-2.0

package seal

import "testing"

// TestLanesThatMeetAStreamTogetherShareItsWindow: both found none, and both
// make one.
func TestLanesThatMeetAStreamTogetherShareItsWindow(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	s := b.peers[a].current.Load()
	first, second := s.makeInflow(1, 1), s.makeInflow(1, 1)
	if first == nil || first != second {
		t.Error("the stream has two windows")
	}
}

func TestStreamsAreBoundedByWhatThePeerAnnounced(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.add(func(c *Config) { c.Lanes = 3 }), w.add(func(c *Config) { c.Lanes = 1 })
	w.meet(a, b)
	w.connect(a, b)
	for stream := range 256 {
		for _, c := range []struct {
			at    *host
			peer  *Peer
			own   int
			their int
		}{{a, a.peers[b], 6, 2}, {b, b.peers[a], 2, 6}} {
			s := c.peer.current.Load()
			if got, want := c.peer.Sending(stream, w.now) != nil, stream < c.own || stream == slowStream; got != want {
				t.Errorf("node %d sends stream %d: %v", c.at.self[1], stream, got)
			}
			if got, want := s.inflow(uint8(stream)) != nil, stream < c.their || stream == slowStream; got != want {
				t.Errorf("node %d receives stream %d: %v", c.at.self[1], stream, got)
			}
		}
	}
}

func TestIndexFindsEachSession(t *testing.T) {
	w := newWorld(t, 1)
	x := newIndex(minSlots)
	var all []*session
	for range 3000 {
		number, err := x.free(w.random)
		if err != nil {
			t.Fatal(err)
		}
		s := &session{index: number}
		x = x.add(s)
		all = append(all, s)
	}
	for i, s := range all {
		if x.find(s.index) != s || x.find(s.index^1<<31) != nil {
			t.Fatalf("session %d is not found by its number alone", i)
		}
		if i%2 == 0 {
			x.remove(s)
			x.remove(s)
		}
	}
	if x.used != 1500 || len(x.slots) != 8192 {
		t.Errorf("%d sessions in %d slots", x.used, len(x.slots))
	}
	for i, s := range all {
		if (x.find(s.index) == s) != (i%2 == 1) {
			t.Fatalf("session %d", i)
		}
	}
}
