// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net/netip"
	"time"

	"flanneld/internal/plan"
	"flanneld/internal/seal"
	"flanneld/route"
)

// Roamed says that the datagrams of a sealed peer go elsewhere.
type Roamed struct {
	Route    plan.Route // its route; the endpoint is that of its record
	From, To netip.AddrPort
	Why      string // one line
}

// Why the datagrams of a peer go elsewhere.
const (
	roamedAway = "its sealed packets come from there, and it receives there; its record does not say so yet"
	roamedBack = "its sealed packets come from there again, which is its record's endpoint"
	roamedDead = "it does not receive at the other address any more; this is its record's endpoint"
)

// roamer is a peer of a sealed network, and where it is.
type roamer struct {
	roam
	planned plan.Route
	peer    *route.Peer
	session *seal.Peer
}

// OnRoam sets a function that is told each time the datagrams of a peer go to
// another address than its record's, or back. It must return soon and must not
// call the Routes.
func (r *Routes) OnRoam(f func(Roamed)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onRoam = f
}

// Roamed returns where the datagrams of peers go, by plan.Route.ID, that are
// elsewhere than their records say.
func (r *Routes) Roamed() map[string]netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]netip.AddrPort{}
	for w := range r.roaming {
		if w.away.IsValid() {
			all[w.planned.ID] = w.away
		}
	}
	return all
}

// Roams counts how often the datagrams of a peer began to go elsewhere, or back
// to its record's endpoint.
func (r *Routes) Roams() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.roams
}

// followRecord gives a peer with sessions its roamer, which stays the same for
// as long as its key does.
func (r *Routes) followRecord(next map[*seal.Peer]*roamer, planned plan.Route, with session) *roamer {
	w := r.roamers[with.Peer]
	if w == nil {
		w = &roamer{session: with.Peer}
	}
	w.planned = planned
	w.follow(planned.Endpoint, with.start)
	next[with.Peer] = w
	return w
}

// keepRoamers takes over the roamers of a new plan, and tells the sessions
// where their peers are.
func (r *Routes) keepRoamers(next map[*seal.Peer]*roamer) {
	r.roamers = next
	reached := make(map[*seal.Peer]*route.Peer, len(next))
	for p, w := range next {
		reached[p] = w.peer
	}
	for w := range r.roaming {
		if next[w.session] != w || !w.active() {
			delete(r.roaming, w)
		}
	}
	r.sealer.reach(reached)
}

// sighted takes that the newest packet of a peer has come from another address
// than its endpoint's.
func (r *Routes) sighted(now time.Time, peer *route.Peer, from netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.roamers[peer.Sealed()]
	if w == nil || w.peer != peer {
		return
	}
	before := w.endpoint()
	if w.sight(now, from, r.plan.Rules.Refuse) {
		r.moved(w, before, roamedBack)
	}
	if w.active() {
		r.roaming[w] = true
	}
}

// roam does what is due for the peers that roam. ask is as in roam.step. next
// is when there is more to do; zero: nothing is planned.
func (r *Routes) roam(now time.Time, ask func(p *seal.Peer, to netip.AddrPort, number uint64) (uint64, bool)) (next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.roaming {
		before := w.endpoint()
		changed := w.step(now, w.session.Answered, func(to netip.AddrPort, number uint64) (uint64, bool) {
			return ask(w.session, to, number)
		})
		switch {
		case changed && w.away.IsValid():
			r.moved(w, before, roamedAway)
		case changed:
			r.moved(w, before, roamedDead)
		}
		if !w.active() {
			delete(r.roaming, w)
		} else if next.IsZero() || w.next.Before(next) {
			next = w.next
		}
	}
	return next
}

// moved puts the new endpoint of a peer into effect. The lanes use it from
// their next batch on.
func (r *Routes) moved(w *roamer, from netip.AddrPort, why string) {
	to := w.endpoint()
	w.peer.Update(to, w.planned.MTU)
	if err := r.feed.Store(r.entries); err != nil {
		r.sealer.log.Error("the endpoint of a peer is not in use", "node", w.planned.Name, "endpoint", to, "error", err)
		return
	}
	r.roams++
	r.sealer.log.Info("the endpoint of a node has roamed", "node", w.planned.Name, "from", from, "to", to, "reason", why)
	if r.onRoam != nil {
		r.onRoam(Roamed{Route: w.planned, From: from, To: to, Why: why})
	}
}
