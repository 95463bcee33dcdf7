// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"fmt"
	"time"

	"flanneld/internal/plan"
	"flanneld/internal/probe"
)

// How long things take.
const (
	firstRest = 30 * time.Second      // after the first failure, doubled with each
	restEach  = 50 * time.Millisecond // for each peer, added to firstRest
	longRest  = 10 * time.Minute      // at most
	// soonRest is the rest of the short-cut after its first failure, as long as
	// it was never proven. It is proven only when the peer answers by its own
	// programs. A peer that has just started, or still leaves another path,
	// does so some seconds later. There are soonTries such rests, each twice as
	// long as the one before.
	soonRest  = 2 * time.Second
	soonTries = 4
	// goodTime is how long a path has to work before its failures are
	// forgotten.
	goodTime = 10 * time.Minute
	// patience is how long a try may take, and more for each peer: with many of
	// them, each is probed more rarely.
	patience     = 30 * time.Second
	patienceEach = 30 * time.Millisecond
)

// state is how far the proof of a path is.
type state int

const (
	resting state = iota // not probed: it is not wanted now
	proving              // probed, and not used
	proven               // used, if it is the most preferred one
	left                 // not probed until some time
)

// entry is one path to one peer.
type entry struct {
	key    string
	sums   bool // checksums are proven, too
	wanted bool // worth a try
	open   bool // no better path works
	state  state
	since  time.Time // in this state
	until  time.Time // left

	soon     int    // tries that are left with short rests between them
	failures int    // without a long good time between
	failed   bool   // the last try, or the use, has failed
	why      string // in a few words

	probed bool
	role   probe.Role
	result probe.Result
	known  bool // result is one
}

func (e *entry) become(s state, now time.Time) { e.state, e.since = s, now }

// due is when the state ends by itself; zero: it does not.
func (e *entry) due(patience time.Duration) time.Time {
	switch {
	case e.state == proving:
		return e.since.Add(patience)
	case e.state == left && e.wanted && e.open:
		return e.until
	}
	return time.Time{}
}

func (b *Book) patience() time.Duration {
	return patience + time.Duration(len(b.peers))*patienceEach
}

// expire ends a try that takes too long.
func (b *Book) expire(e *entry, now time.Time) (changed Changes) {
	if e.state == proving && !now.Before(e.since.Add(b.patience())) {
		return b.leave(e, "too few probes are answered", now)
	}
	return changed
}

// judge takes a result.
func (b *Book) judge(e *entry, path plan.Path, r probe.Result, now time.Time) (changed Changes) {
	changed.Proofs = !path.Kernel() && (r.State == probe.Works) != (e.result.State == probe.Works)
	e.result, e.known = r, true
	if !path.Kernel() || e.state != proving && e.state != proven {
		return changed
	}
	switch why := verdict(r); {
	case why != "":
		changed.Add(b.leave(e, why, now))
	case e.state == proving && e.complete(r):
		e.become(proven, now)
		e.failed, e.why, e.soon = false, "", 0
		changed.Proofs = true
	}
	return changed
}

// leave gives a path up for some time.
func (b *Book) leave(e *entry, why string, now time.Time) Changes {
	if e.state == proven && now.Sub(e.since) >= goodTime {
		e.failures = 0
	}
	rest := b.rest(e)
	const jitter = 0.2
	e.until = now.Add(rest + time.Duration(float64(rest)*jitter*b.random()))
	news := e.state == proven || !e.failed || e.why != why
	e.failed, e.why = true, why
	e.become(left, now)
	return Changes{Roles: true, Proofs: news}
}

// rest is how long a path that has failed once more is not tried. It counts the
// failure.
func (b *Book) rest(e *entry) time.Duration {
	each := restEach * time.Duration(len(b.peers)-1)
	if e.soon > 0 {
		e.soon--
		return (soonRest + each) << (soonTries - 1 - e.soon)
	}
	rest := longRest
	if e.failures < 8 {
		rest = min(rest, (firstRest+each)<<e.failures)
	}
	e.failures++
	return rest
}

// verdict says why a path is to be left, "" for none.
func verdict(r probe.Result) string {
	switch {
	case r.State == probe.Failed && r.Refused != nil:
		return fmt.Sprintf("this host does not send: %v", r.Refused)
	case r.State == probe.Failed:
		return "probes are not answered"
	case r.State == probe.SmallOnly:
		return fmt.Sprintf("packets of %d bytes are lost, small ones are not", r.Tried)
	case r.Sums == probe.SumsBroken:
		return "TCP checksums that are left to the device arrive broken"
	}
	return ""
}

// complete reports whether all kinds of probes were answered that can be.
func (e *entry) complete(r probe.Result) bool {
	return r.State == probe.Works && r.Full && (!e.sums || r.Sums != probe.SumsNotTried)
}
