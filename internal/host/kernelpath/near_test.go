// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fakeSegment is a segment in memory.
type fakeSegment struct {
	routes   map[netip.Addr]way // what is missing is on eth0
	known    map[netip.Addr]station
	own      hwaddr
	broken   error
	asked    []netip.Addr // for which the kernel asked
	routings int          // how many ways were asked for
}

func newFakeSegment() *fakeSegment {
	return &fakeSegment{routes: map[netip.Addr]way{}, known: map[netip.Addr]station{}, own: hwaddr{2, 0, 0, 0, 0, 1}}
}

func (s *fakeSegment) ways(endpoints []netip.Addr) map[netip.Addr]way {
	all := map[netip.Addr]way{}
	for _, a := range endpoints {
		s.routings++
		w, ok := s.routes[a]
		if !ok {
			w = way{device: "eth0", broadcast: true}
		}
		all[a] = w
	}
	return all
}

func (s *fakeSegment) stations(string) (map[netip.Addr]station, hwaddr, error) {
	return maps.Clone(s.known), s.own, s.broken
}

func (s *fakeSegment) resolve(_ string, endpoints []netip.Addr) {
	s.asked = append(s.asked, endpoints...)
}

// stand is a follower on a segment in memory.
type stand struct {
	*follower
	t       *testing.T
	segment *fakeSegment
	clock   time.Time
}

func newStand(t *testing.T) *stand {
	s := &stand{t: t, segment: newFakeSegment(), clock: time.Unix(1e9, 0)}
	s.follower = newFollower(s.segment)
	s.now = func() time.Time { return s.clock }
	s.want("eth0")
	return s
}

func addr(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 7, n}) }

func here(n byte) station { return station{mac: hwaddr{2, 0, 0, 0, 0, n}, valid: true} }

// expect looks, and expects an answer: a MAC address that ends so, or a reason.
func (s *stand) expect(when string, a netip.Addr, mac, why string) {
	s.t.Helper()
	s.look()
	device, got, words := s.near(a)
	if mac != "" {
		if words != "" || device != "eth0" || !strings.HasSuffix(got.String(), mac) {
			s.t.Errorf("%s: %s is near by %q, %s, %q", when, a, device, got, words)
		}
		return
	}
	if !strings.Contains(words, why) || got != nil || device != "" {
		s.t.Errorf("%s: %s is near by %q, %s, %q, want %q", when, a, device, got, words, why)
	}
}

func TestNeighborIsAskedForAndKept(t *testing.T) {
	s := newStand(t)
	if _, mac, why := s.near(addr(8)); mac != nil || why != "" {
		t.Errorf("at first: %q", why)
	}
	s.expect("asked", addr(8), "", "")
	if !slices.Equal(s.segment.asked, []netip.Addr{addr(8)}) {
		t.Errorf("asked for %v", s.segment.asked)
	}
	s.expect("not asked again at once", addr(8), "", "")
	s.segment.known[addr(8)] = here(8)
	s.expect("it answers", addr(8), ":08", "")
	delete(s.segment.known, addr(8))
	s.expect("the kernel forgot it", addr(8), ":08", "")
	if len(s.segment.asked) != 2 {
		t.Errorf("asked for %v", s.segment.asked)
	}
	s.clock = s.clock.Add(grace + time.Second)
	s.expect("it does not come back", addr(8), "", "")
	s.clock = s.clock.Add(time.Minute)
	s.expect("asked again", addr(8), "", "does not answer")
	s.segment.known[addr(8)] = here(9)
	s.expect("it is another device", addr(8), ":09", "")
	s.segment.known[addr(8)] = station{failed: true}
	s.expect("it does not answer the kernel", addr(8), "", "does not answer")
}

// The kernel forgets neighbors at rest, long after the last look saw them. Each
// keeps its MAC address until the kernel was asked and had time to answer, also
// where many are forgotten at once.
func TestForgottenNeighborsKeepTheirMACAddress(t *testing.T) {
	s := newStand(t)
	const many = 20 * burst // asking takes longer than grace
	var all []netip.Addr
	for i := range many {
		a := netip.AddrFrom4([4]byte{192, 168, byte(i / 250), byte(i%250 + 1)})
		s.segment.known[a] = station{mac: hwaddr{2, 0, 0, 0, byte(i / 250), byte(i%250 + 1)}, valid: true}
		s.near(a)
		all = append(all, a)
	}
	s.look()
	for round := range 3 {
		clear(s.segment.known)
		s.clock = s.clock.Add(grace + time.Millisecond)
		asked := len(s.segment.asked)
		for more := true; more; {
			var changed bool
			if changed, more = s.look(); changed {
				t.Fatalf("round %d: one is lost before the kernel could answer", round)
			}
			for _, a := range s.segment.asked[asked:] {
				i := slices.Index(all, a)
				s.segment.known[a] = station{mac: hwaddr{2, 0, 0, 0, byte(i / 250), byte(i%250 + 1)}, valid: true}
			}
			s.clock = s.clock.Add(nearPace.Min)
		}
		if n := len(s.segment.asked) - asked; n != many {
			t.Errorf("round %d: asked for %d", round, n)
		}
		s.look()
	}
}

// An endpoint that is not there is asked for ever more rarely: each question is
// a broadcast.
func TestSilentNeighborsAreAskedForRarely(t *testing.T) {
	s := newStand(t)
	s.near(addr(8))
	for range 3600 {
		s.clock = s.clock.Add(time.Second)
		s.near(addr(8))
		s.look()
	}
	if n := len(s.segment.asked); n < 25 || n > 45 {
		t.Errorf("asked %d times in an hour", n)
	}
	s.clock = s.clock.Add(forgetAfter + time.Second)
	s.look()
	if len(s.endpoints) > 0 {
		t.Error("an endpoint is followed for ever")
	}
}

func TestManyNewNeighborsAreSpread(t *testing.T) {
	s := newStand(t)
	for i := range 1000 {
		s.near(netip.AddrFrom4([4]byte{192, 168, byte(i / 250), byte(i%250 + 1)}))
	}
	rounds := 0
	for more := true; more; rounds++ {
		before := len(s.segment.asked)
		_, more = s.look()
		if n := len(s.segment.asked) - before; n > burst {
			t.Fatalf("%d questions at once", n)
		}
	}
	if len(s.segment.asked) != 1000 || rounds != 1000/burst {
		t.Errorf("asked for %d in %d rounds", len(s.segment.asked), rounds)
	}
	if s.segment.routings != 1000 {
		t.Errorf("asked for %d ways", s.segment.routings)
	}
}

func TestWaysThatAreNoneForThePathDirect(t *testing.T) {
	s := newStand(t)
	for n, c := range map[byte]struct {
		way way
		why string
	}{
		10: {way{}, "no route to 192.168.7.10"},
		11: {way{device: "eth0", gateway: addr(254), broadcast: true}, "192.168.7.11 is behind the router 192.168.7.254"},
		12: {way{device: "wg0"}, "is reached by wg0, and not by eth0"},
		13: {way{device: "eth0"}, "eth0 is no device with broadcasts"},
		14: {way{device: "lo", local: true}, "is an address of this host"},
	} {
		s.segment.routes[addr(n)], s.segment.known[addr(n)] = c.way, here(n)
		s.near(addr(n))
		s.expect(fmt.Sprintf("%+v", c.way), addr(n), "", c.why)
	}
	if len(s.segment.asked) > 0 {
		t.Errorf("asked for %v", s.segment.asked)
	}
	s.expect("IPv6", netip.MustParseAddr("2001:db8::1"), "", "no IPv4 address")
	if len(s.endpoints) != 5 {
		t.Errorf("%d endpoints are followed", len(s.endpoints))
	}
	delete(s.segment.routes, addr(11))
	s.expect("a route changes, and that is not reported", addr(11), "", "behind the router")
	s.waysChanged()
	s.expect("it is", addr(11), ":0b", "")
	s.want("eth1")
	s.expect("another underlay", addr(11), "", "is reached by eth0, and not by eth1")
}

func TestMACAddressesThatCannotBe(t *testing.T) {
	s := newStand(t)
	s.segment.known[addr(8)] = here(8)
	s.near(addr(8))
	s.expect("alone", addr(8), ":08", "")
	s.segment.known[addr(3)] = here(8)
	s.near(addr(3))
	s.expect("a later one with the same", addr(3), "", "02:00:00:00:00:08 of 192.168.7.8")
	s.expect("the first", addr(8), ":08", "")
	s.segment.known[addr(8)] = here(9)
	s.expect("it has another now", addr(8), ":09", "")
	s.expect("the later", addr(3), ":08", "")
	s.segment.known[addr(8)] = here(1)
	s.expect("our own", addr(8), "", "this host's own MAC address")
	s.segment.known[addr(8)] = station{valid: true}
	s.expect("none", addr(8), "", "which no device has")
}

// A peer has another address: the kernel goes on knowing the old one for a
// while, with the same MAC address.
func TestAddressThatAPeerHasLeftKeepsNoMACAddress(t *testing.T) {
	s := newStand(t)
	s.reach([]Peer{{Endpoint: addr(8)}})
	s.segment.known[addr(8)] = here(8)
	s.near(addr(8))
	s.expect("before", addr(8), ":08", "")
	s.segment.known[addr(9)] = here(8)
	s.near(addr(9))
	s.expect("not reached by it yet", addr(9), "", "of 192.168.7.8")
	<-s.wake
	s.reach([]Peer{{Endpoint: addr(9)}})
	if len(s.wake) == 0 {
		t.Error("another peer is no reason to look again")
	}
	s.expect("moved", addr(9), ":08", "")
	s.expect("the one it has left", addr(8), "", "of 192.168.7.9")
	<-s.wake
	s.reach([]Peer{{Endpoint: addr(9)}})
	if len(s.wake) != 0 {
		t.Error("the same peers are a reason to look again")
	}
}

func TestOnlyNewsWakesTheFollower(t *testing.T) {
	s := newStand(t)
	s.segment.known[addr(8)] = here(8)
	s.near(addr(8))
	s.look()
	for name, c := range map[string]struct {
		a    netip.Addr
		st   station
		news bool
	}{
		"in use": {addr(8), here(8), false}, "another MAC address": {addr(8), here(9), true}, "gone": {addr(8), station{}, true},
		"another host": {addr(9), here(9), false},
	} {
		if got := s.news(c.a, c.st); got != c.news {
			t.Errorf("%s: %t", name, got)
		}
	}
	if changed, more := s.look(); changed || more {
		t.Error("nothing changed")
	}
	s.segment.known = nil
	s.look()
	if !s.news(addr(8), here(8)) {
		t.Error("an answer to the kernel's question is no news")
	}
	s.segment.known = map[netip.Addr]station{addr(8): here(8)}
	s.look()
	if s.news(addr(8), here(8)) {
		t.Error("it is in use again, and that is news")
	}
	s.segment.broken = errBroken
	s.segment.known = nil
	if changed, _ := s.look(); changed {
		t.Error("a segment that cannot be read is a change")
	}
	s.segment.broken = nil
	s.want("")
	if changed, _ := s.look(); changed {
		t.Error("without an underlay something changes")
	}
}

// Follow looks at what Near was asked about, and reports other answers.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		p := on(newFakeKernel())
		s.now = time.Now
		p.follower = s.follower
		s.segment.known[addr(8)] = here(8)
		wakes := make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			p.follow(ctx, nil, wakes)
			close(ended)
		}()
		if _, mac, _ := p.Near(addr(8)); mac != nil {
			t.Error("known before it was asked for")
		}
		<-p.Changed()
		if device, mac, why := p.Near(addr(8)); device != "eth0" || mac.String() != "02:00:00:00:00:08" || why != "" {
			t.Errorf("near by %q, %s, %q", device, mac, why)
		}
		s.segment.known = map[netip.Addr]station{addr(8): {failed: true}}
		wakes <- struct{}{}
		<-p.Changed()
		if _, _, why := p.Near(addr(8)); why == "" {
			t.Error("still near")
		}
		cancel()
		<-ended
	})
}
