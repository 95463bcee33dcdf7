// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net/netip"
	"time"
)

// Times of roaming.
const (
	// An address that a peer is sighted at is asked up to trialQuestions times.
	trialEvery     = 400 * time.Millisecond
	trialQuestions = 3

	// At most trialBurst trials of a peer begin in trialSpan. An address that
	// did not answer rests, each time twice as long.
	trialBurst = 3
	trialSpan  = 3 * time.Second
	firstRest  = time.Second
	lastRest   = time.Minute

	// A peer that has roamed is asked whether it still receives there. It has
	// not answered where checkMisses questions in a row got no answer.
	checkEvery  = time.Second
	checkSeldom = 5 * time.Second // once it has roamed for settledAfter
	checkMisses = 4

	settledAfter = 30 * time.Second
)

// roam is where the datagrams of one peer of a sealed network go: to the
// endpoint of its record, or to another address from which its own datagrams
// come. The port is always that of the record. Nodes send from ports at which
// they receive nothing.
//
// That a datagram is authentic says nothing of its outer source. NAT changes
// it, and so can a host on the way. So the peer is asked first whether it
// receives at that address. The record wins over that: the peer is sent to its
// endpoint again when a newer record comes, when its own datagrams come from
// there again, and when it stops to answer elsewhere.
//
// It has no clock and sends nothing. The zero value is of no use.
type roam struct {
	record netip.AddrPort // zero: none to which datagrams may go
	start  uint64         // of the record
	away   netip.AddrPort // where it has roamed to; zero: it has not
	since  time.Time      // when it roamed

	// A trial, or the present check of away:
	trial  netip.AddrPort // zero: none
	number uint64         // of the questions; 0: none was sent
	asked  int            // questions since the last answer
	next   time.Time      // of the next question
	first  bool           // away has to answer before another trial begins

	begun   [trialBurst]time.Time // when the last trials began, the oldest first
	refused netip.AddrPort        // what did not answer last
	rest    time.Duration         // of refused
	until   time.Time
}

// endpoint is where datagrams go.
func (r *roam) endpoint() netip.AddrPort {
	if r.away.IsValid() {
		return r.away
	}
	return r.record
}

// follow takes the newest record. One with another endpoint, or of another
// start, ends what was before.
func (r *roam) follow(record netip.AddrPort, start uint64) {
	if r.record != record || r.start != start {
		*r = roam{record: record, start: start}
	}
}

// active reports whether there is something to do at next.
func (r *roam) active() bool { return r.trial.IsValid() || r.away.IsValid() }

// sight takes that the newest packet of the peer has come from an address. It
// reports whether the peer is back at its record's endpoint. Else it may begin
// a trial. refuse says why no datagram may be sent to an endpoint, "" when it
// may.
func (r *roam) sight(now time.Time, from netip.Addr, refuse func(netip.AddrPort) string) (back bool) {
	to := netip.AddrPortFrom(from, r.record.Port())
	switch {
	case !r.record.IsValid() || to == r.endpoint() || to == r.trial:
	case to == r.record:
		r.leave()
		return true
	case r.first, r.trial.IsValid(), to == r.refused && now.Before(r.until), now.Sub(r.begun[0]) < trialSpan, refuse(to) != "":
	default:
		copy(r.begun[:], r.begun[1:])
		r.begun[trialBurst-1] = now
		r.trial, r.number, r.asked, r.next = to, 0, 0, now
	}
	return false
}

// leave ends what was found out.
func (r *roam) leave() {
	r.away, r.trial, r.number, r.asked, r.first = netip.AddrPort{}, netip.AddrPort{}, 0, 0, false
}

// refuse lets an address rest that does not answer.
func (r *roam) refuse(now time.Time, at netip.AddrPort) {
	if at == r.refused {
		r.rest = min(2*r.rest, lastRest)
	} else {
		r.refused, r.rest = at, firstRest
	}
	r.until = now.Add(r.rest)
}

// step does what is due. answered reports whether the peer has answered a
// question. ask sends one to an address and returns its number. It is given the
// number of an earlier one, or 0 for a new one. It is not ok where there is no
// session. changed reports whether endpoint is another one.
func (r *roam) step(now time.Time, answered func(number uint64) bool, ask func(to netip.AddrPort, number uint64) (uint64, bool)) (changed bool) {
	if r.number != 0 && answered(r.number) {
		r.number, r.asked, r.first = 0, 0, false
		if r.trial.IsValid() {
			r.away, r.trial, r.since, r.refused, changed = r.trial, netip.AddrPort{}, now, netip.AddrPort{}, true
		}
		r.next = now.Add(r.pause(now))
	}
	if !r.active() || now.Before(r.next) {
		return changed
	}
	at, most := r.away, checkMisses
	if r.trial.IsValid() {
		at, most = r.trial, trialQuestions
	}
	if r.asked < most {
		if number, ok := ask(at, r.number); ok {
			r.number, r.asked = number, r.asked+1
			r.next = now.Add(r.pause(now))
			return changed
		}
	}
	return r.giveUp(now, at) || changed
}

// pause is the time to the next question.
func (r *roam) pause(now time.Time) time.Duration {
	switch {
	case r.trial.IsValid():
		return trialEvery
	case r.asked == 0 && now.Sub(r.since) > settledAfter:
		return checkSeldom
	}
	return checkEvery
}

// giveUp leaves an address that does not answer. It reports whether the peer
// had roamed there. A trial of another address leaves the peer where it was,
// which is checked at once: trials in a row must not keep that from being seen.
func (r *roam) giveUp(now time.Time, at netip.AddrPort) (changed bool) {
	r.refuse(now, at)
	if r.trial.IsValid() {
		r.trial, r.number, r.asked, r.next, r.first = netip.AddrPort{}, 0, 0, now, r.away.IsValid()
		return false
	}
	r.leave()
	return true
}
