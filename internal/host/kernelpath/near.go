// SPDX-License-Identifier: Apache-2.0

package kernelpath

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"flanneld/internal/host"
)

const (
	// grace is how long a neighbor that the kernel has forgotten keeps its MAC
	// address, once it was asked for again. The kernel gives up after 3 s.
	grace = 5 * time.Second
	// An endpoint that does not answer is asked for again after firstRetry, and
	// ever more rarely, at most every lastRetry.
	firstRetry = 5 * time.Second
	lastRetry  = 2 * time.Minute
	// burst bounds the questions of one round: each is a broadcast.
	burst = 50
	// forgetAfter is how long an endpoint is followed that Near was not asked
	// about.
	forgetAfter = 15 * time.Minute
)

// way is how the kernel sends to an endpoint.
type way struct {
	device    string     // "": not at all
	gateway   netip.Addr // zero: none
	local     bool       // the address is this host's own
	broadcast bool       // the device resolves neighbors by broadcasts
}

// station is what the kernel knows of a neighbor.
type station struct {
	mac    hwaddr
	valid  bool // the kernel would send to the MAC address
	failed bool // it did not answer
}

// segment is the kernel's knowledge about other hosts on the underlay.
type segment interface {
	// ways asks where packets to endpoints go. An endpoint about which there is
	// no answer is left out.
	ways(endpoints []netip.Addr) map[netip.Addr]way
	// stations lists the neighbors on a device, and the device's own address.
	stations(device string) (all map[netip.Addr]station, own hwaddr, err error)
	// resolve makes the kernel ask for neighbors, and does not wait. What fails
	// is tried again.
	resolve(device string, endpoints []netip.Addr)
}

// follower keeps what Near answers.
type follower struct {
	segment segment
	now     func() time.Time
	wake    chan struct{} // capacity one: there is an endpoint to look at

	mu        sync.Mutex // held for moments only
	underlay  string
	endpoints map[netip.Addr]*endpoint
	// peers are the endpoints of now; nil: not known. One that a peer has left
	// keeps no MAC address from the peer's new one.
	peers map[netip.Addr]bool
	stale bool // the ways have to be asked for again
}

// endpoint is what is known of one peer.
type endpoint struct {
	wanted time.Time // when Near was last asked
	asked  bool      // the way was asked for
	way    way

	mac   hwaddr
	lost  time.Time // when the kernel was asked for it again; zero: it need not be
	why   string    // "": it is near
	tries int       // since the neighbor was last valid
	retry time.Time // not asked for before
}

func newFollower(s segment) *follower {
	return &follower{segment: s, now: time.Now, wake: make(chan struct{}, 1), endpoints: map[netip.Addr]*endpoint{}}
}

// whySoon marks an endpoint about which the kernel was asked a moment ago.
const whySoon = "the neighbor is being looked up"

// near answers from what is known.
func (f *follower) near(a netip.Addr) (device string, mac net.HardwareAddr, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.endpoints[a]
	if !ok {
		if !a.Is4() {
			return "", nil, fmt.Sprintf("%s is no IPv4 address", a)
		}
		e = &endpoint{why: whySoon}
		f.endpoints[a] = e
		host.Poke(f.wake)
	}
	e.wanted = f.now()
	switch e.why {
	case "":
	case whySoon:
		return "", nil, ""
	default:
		return "", nil, e.why
	}
	return e.way.device, bytes.Clone(e.mac[:]), ""
}

// want sets the device that peers have to be on.
func (f *follower) want(underlay string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.underlay != underlay {
		f.underlay, f.stale = underlay, true
		host.Poke(f.wake)
	}
}

// reach sets the endpoints of all peers.
func (f *follower) reach(peers []Peer) {
	now := make(map[netip.Addr]bool, len(peers))
	for _, peer := range peers {
		now[peer.Endpoint] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !maps.Equal(now, f.peers) {
		f.peers = now
		host.Poke(f.wake)
	}
}

// waysChanged makes the next look ask for the ways again.
func (f *follower) waysChanged() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stale = true
}

// news reports whether a neighbor is another than was known, or answers after
// the kernel was asked for it. Neighbors that are in use change their state all
// the time.
func (f *follower) news(a netip.Addr, s station) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, followed := f.endpoints[a]
	return followed && (!s.valid || s.mac != e.mac || !e.lost.IsZero())
}

// look asks the kernel about all endpoints. changed reports whether near
// answers something else, and more whether another look is due soon.
func (f *follower) look() (changed, more bool) {
	f.mu.Lock()
	underlay, stale := f.underlay, f.stale
	f.stale = false
	var unknown []netip.Addr
	for a, e := range f.endpoints {
		if f.now().Sub(e.wanted) > forgetAfter {
			delete(f.endpoints, a)
		} else if stale || !e.asked {
			unknown = append(unknown, a)
		}
	}
	idle := len(f.endpoints) == 0
	f.mu.Unlock()
	if underlay == "" || idle {
		return false, false
	}
	ways := f.segment.ways(unknown)
	stations, own, err := f.segment.stations(underlay)
	if err != nil {
		return false, false
	}
	questions, changed, more := f.judge(ways, stations, own)
	if len(questions) > 0 {
		f.segment.resolve(underlay, questions)
	}
	return changed, more
}

// judge notes what a look has found. It returns for which endpoints the kernel
// is to ask.
func (f *follower) judge(ways map[netip.Addr]way, stations map[netip.Addr]station, own hwaddr) (questions []netip.Addr, changed, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	inOrder := slices.SortedFunc(maps.Keys(f.endpoints), netip.Addr.Compare)
	holders := f.holders(inOrder, stations)
	for _, a := range inOrder {
		e := f.endpoints[a]
		if w, ok := ways[a]; ok {
			e.way, e.asked = w, true
		}
		before, mac := e.why, e.mac
		e.why = f.whyNot(e, a)
		if e.why == "" {
			ask := e.meet(stations[a], now)
			switch {
			case ask && len(questions) < burst:
				e.ask(now)
				questions = append(questions, a)
			case ask:
				more = true
			}
			if e.why == "" {
				e.why = f.whyMAC(e, a, own, holders)
			}
		}
		changed = changed || before != e.why || mac != e.mac
	}
	return questions, changed, more
}

// whyNot is why an endpoint is not near, by its way alone.
func (f *follower) whyNot(e *endpoint, a netip.Addr) string {
	w := e.way
	switch {
	case !e.asked:
		return whySoon
	case w.local:
		return fmt.Sprintf("%s is an address of this host", a)
	case w.device == "":
		return fmt.Sprintf("no route to %s", a)
	case w.gateway.IsValid():
		return fmt.Sprintf("%s is behind the router %s", a, w.gateway)
	case w.device != f.underlay:
		return fmt.Sprintf("%s is reached by %s, and not by %s", a, w.device, f.underlay)
	case !w.broadcast:
		return fmt.Sprintf("%s is no device with broadcasts", w.device)
	}
	return ""
}

// meet notes what the kernel knows of the neighbor, and reports whether it is
// to ask for it.
func (e *endpoint) meet(s station, now time.Time) (ask bool) {
	if s.valid {
		e.mac, e.lost, e.tries, e.retry = s.mac, time.Time{}, 0, time.Time{}
		return false
	}
	if s.failed || e.mac == (hwaddr{}) || !e.lost.IsZero() && now.Sub(e.lost) > grace {
		e.mac, e.why = hwaddr{}, whySoon
		if s.failed || e.tries > 1 {
			e.why = "the neighbor does not answer"
		}
	}
	return !now.Before(e.retry)
}

// ask notes that the kernel asks for the neighbor.
func (e *endpoint) ask(now time.Time) {
	if e.lost.IsZero() {
		e.lost = now
	}
	e.retry = now.Add(min(firstRetry<<min(e.tries, 8), lastRetry))
	e.tries++
}

// holders are the endpoints of peers that have their MAC address already. Of
// several with one MAC address the first in order has it.
func (f *follower) holders(inOrder []netip.Addr, stations map[netip.Addr]station) map[hwaddr]netip.Addr {
	all := map[hwaddr]netip.Addr{}
	for _, earlier := range []bool{true, false} {
		for _, a := range inOrder {
			s := stations[a]
			had := f.endpoints[a].why == "" && f.endpoints[a].mac == s.mac
			_, taken := all[s.mac]
			if s.valid && !taken && had == earlier && (f.peers == nil || f.peers[a]) {
				all[s.mac] = a
			}
		}
	}
	return all
}

// whyMAC is why a neighbor cannot be used, by its MAC address.
func (f *follower) whyMAC(e *endpoint, a netip.Addr, own hwaddr, holders map[hwaddr]netip.Addr) string {
	holder, known := holders[e.mac]
	switch {
	case !usable(e.mac[:]):
		return fmt.Sprintf("%s has the MAC address %s, which no device has", a, e.mac)
	case e.mac == own:
		return fmt.Sprintf("%s has this host's own MAC address %s", a, e.mac)
	case known && holder != a:
		return fmt.Sprintf("%s has the MAC address %s of %s", a, e.mac, holder)
	}
	return ""
}

// nearPace is for looks after changes. Neighbors change all the time.
var nearPace = host.Pace{Delay: 100 * time.Millisecond, Min: 500 * time.Millisecond, Max: 8 * time.Second, Factor: 50}

// Near reports how an endpoint is reached without a router: by which device,
// and which MAC address it has there. why is why it is not; "" where it is, or
// where the neighbor is being looked up: then mac is nil. Near never waits: it
// answers from what Follow keeps, and makes an endpoint that it was never asked
// about one to follow. Changed signals other answers.
func (p *Part) Near(endpoint netip.Addr) (device string, mac net.HardwareAddr, why string) {
	return p.follower.near(endpoint)
}

// LookAround looks for the endpoints that Near was asked about, at once, on the
// device that leads to other hosts. The kernel knows most of them, because
// gossip reaches them.
func (p *Part) LookAround(underlay string) {
	p.follower.want(underlay)
	p.follower.look()
}

// Follow keeps what Near answers until ctx ends.
func (p *Part) Follow(ctx context.Context) {
	ways, neighbors := watchSegment(ctx, p.follower.news)
	p.follow(ctx, ways, neighbors)
}

// follow is Follow with the reports of the kernel.
func (p *Part) follow(ctx context.Context, ways, neighbors <-chan struct{}) {
	f := p.follower
	var forwarding sync.WaitGroup
	forwarding.Go(func() { forward(ctx, neighbors, f.wake) })
	defer forwarding.Wait()
	host.Loop{
		Every: firstRetry, Pace: nearPace, Wake: f.wake, Links: ways,
		OnWake: (*host.Schedule).Soon,
		OnLinks: func(s *host.Schedule) {
			f.waysChanged()
			s.Soon()
		},
		Round: func(context.Context) {
			changed, more := f.look()
			if changed {
				host.Poke(p.changed)
			}
			if more {
				host.Poke(f.wake)
			}
		},
	}.Run(ctx)
}

// forward pokes a channel for each signal of another one, until ctx ends.
func forward(ctx context.Context, from <-chan struct{}, to chan<- struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-from:
			host.Poke(to)
		}
	}
}
