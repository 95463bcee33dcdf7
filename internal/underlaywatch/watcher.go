// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"flanneld/internal/host/underlay"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// Rhythm of the checks.
const (
	// AfterChange is how long after a change of links, addresses or routes a
	// check is due: several changes at once make one check.
	AfterChange = 200 * time.Millisecond
	// Again is how long after a check the next one is due while something is
	// wrong.
	Again = time.Second

	unreported = 5 * time.Second  // between checks where the kernel reports no changes
	reported   = 30 * time.Second // where it does
	// standTime is how long another choice must stand while the host still has
	// the address in use: routes that flap move no node.
	standTime = 3 * time.Second
	// movesForgotten is how long after the last move an earlier one counts.
	movesForgotten = 10 * time.Minute
)

// Mover carries out what a Watcher decides. The Watcher calls it from its own
// methods, in the caller's goroutine.
type Mover interface {
	// Move goes on at another address: first everything that can fail without
	// harm, then gossip. On an error everything is as it was, and the Watcher
	// tries again. [peers.ErrNotRunning] is not logged.
	Move(to underlay.Underlay) error

	// Moved follows Move, when the Watcher is at the new address. Its error
	// ends the daemon.
	Moved() error

	// AddressBack follows [Watcher.Await], when the host has the address. Its
	// error ends the daemon.
	AddressBack() error
}

// Config is what a Watcher needs.
type Config struct {
	Options  underlay.Options // how the address is chosen; Prefer is set by the Watcher
	Here     underlay.Underlay
	MTU      int      // of the overlay device, in bytes
	Overhead int      // what the paths add to a packet at most, in bytes
	Seeds    []string // gossip endpoints to reach while no member is known, host[:port]
	Mover    Mover
	Problems *problem.Board
	Log      *slog.Logger
}

// Watcher knows when the underlay address has to change. Its methods belong to
// one goroutine, but for Here.
type Watcher struct {
	cfg  Config
	host host
	here atomic.Pointer[underlay.Underlay]

	changes <-chan struct{} // nil: the kernel reports none
	timer   *time.Timer
	due     time.Time     // when timer fires
	checked time.Time     // last
	rest    time.Duration // between checks while nothing is wrong

	other   underlay.Underlay
	since   time.Time  // when other was first chosen
	logged  string     // the last reason to stay, see logOnce
	offered netip.Addr // the last other choice that was logged
	waited  bool       // see Await
	members members
	moves   moves
	trials  trials
}

// moves is what a Watcher remembers of its moves.
type moves struct {
	// home is where this node was before the host lost that address; zero where
	// it is at the address it chose.
	home underlay.Underlay
	// unproven is a move after which no member has answered yet.
	unproven bool
	count    int // lately; see stands
	last     time.Time
}

// New makes a Watcher of a node that is at cfg.Here.
func New(cfg Config) *Watcher {
	w := &Watcher{cfg: cfg, host: kernel{}, rest: reported, trials: trials{results: make(chan Trial, 1)}}
	w.here.Store(&cfg.Here)
	w.timer, w.due = time.NewTimer(w.rest), time.Now().Add(w.rest)
	return w
}

// Start asks the kernel to report changes until ctx ends.
func (w *Watcher) Start(ctx context.Context) {
	var err error
	if w.changes, err = underlay.Watch(ctx); err != nil {
		w.rest = unreported
		w.cfg.Log.Debug("the kernel reports no changes of the underlay; it is checked every few seconds", "error", err)
	}
	w.rearm(w.rest)
}

// Here is this node's place on the underlay. It may be called concurrently.
func (w *Watcher) Here() underlay.Underlay { return *w.here.Load() }

// Changes is ready when the kernel reports a change: call Soon.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Due is ready when a check is due: call Check.
func (w *Watcher) Due() <-chan time.Time { return w.timer.C }

// Trials is ready when a trial has a result: call Finish.
func (w *Watcher) Trials() <-chan Trial { return w.trials.results }

// Soon makes a check due soon after a change. On a host where routes change all
// the time it is due no more often than every second.
func (w *Watcher) Soon() {
	now := time.Now()
	if wait := max(AfterChange, Again-now.Sub(w.checked)); now.Add(wait).Before(w.due) {
		w.rearm(wait)
	}
}

func (w *Watcher) rearm(wait time.Duration) {
	w.timer.Reset(wait)
	w.due = time.Now().Add(wait)
}

// Listen takes from a snapshot whether any member answers.
func (w *Watcher) Listen(s *peers.Snapshot, now time.Time) {
	if w.members.count(s, now) && !w.moves.unproven {
		w.trials.succeeded()
	}
	if since := w.members.since; !since.IsZero() && since.Add(silentAfter).Before(w.due) {
		w.rearm(max(since.Add(silentAfter).Sub(now), Again))
	}
}

// Await tells the Watcher that something could not be made while the host does
// not have the address; see Mover.AddressBack. err is what failed.
func (w *Watcher) Await(err error) {
	w.waited = true
	w.rearm(Again)
	w.logOnce(err)
}

// silent reports whether no member answers. After a move gossip takes its time
// to notice, so that silence is assumed until a member is reached.
func (w *Watcher) silent(now time.Time) bool {
	return w.members.silent(now) || w.moves.unproven && w.members.any && now.Sub(w.moves.last) >= silentAfter
}

// stands reports whether another choice has been made for long enough. The way
// back from an address that the host has takes longer after each move, so that
// an address that flaps is not followed for ever.
func (w *Watcher) stands(u underlay.Underlay, held bool, now time.Time) bool {
	if u != w.other {
		w.other, w.since = u, now
	}
	need := standTime
	if held && u.Addr == w.moves.home.Addr && now.Sub(w.moves.last) < movesForgotten {
		need <<= min(max(w.moves.count-1, 0), 6)
	}
	return now.Sub(w.since) >= need
}

// add counts a move.
func (m *moves) add(now time.Time) {
	if now.Sub(m.last) >= movesForgotten {
		m.count = 0
	}
	m.count, m.last = m.count+1, now
}
