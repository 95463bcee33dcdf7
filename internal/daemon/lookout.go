package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"flanneld/internal/host/underlay"
	"flanneld/peers"
)

// Rhythm of looking whether the underlay is still the one to be at.
const (
	lookAfterChange = 200 * time.Millisecond // of links, addresses or routes
	lookAgain       = time.Second            // while something is amiss
	lookUntold      = 5 * time.Second        // where the kernel does not tell of changes
	lookTold        = 30 * time.Second       // where it does
	// moveAfter is how long another choice must stand while the host still has
	// the address in use: routes that flap move no node.
	moveAfter = 3 * time.Second
	// movesForgotten is how long after the last move an earlier one counts.
	movesForgotten = 10 * time.Minute
	// moveTime bounds one attempt to move the gossip.
	moveTime = 10 * time.Second
)

// lookout sees when the underlay address has to change. A node stays where it
// is while the host has the address and a member answers there; see decide.
// Belongs to the goroutine of Run.
type lookout struct {
	changes <-chan struct{} // nil: the kernel does not tell
	timer   *time.Timer
	due     time.Time     // when timer fires
	looked  time.Time     // last
	rest    time.Duration // between looks while nothing is amiss
	other   underlay.Underlay
	since   time.Time // when other was first chosen
	trouble string    // last logged
	said    netip.Addr

	// home is where this node was before the host lost that address; zero where
	// it is at the address it chose.
	home underlay.Underlay
	// unproven is a move after which no member has answered yet.
	unproven bool
	answer   answers
	trials   chan trial // results, one at most is under way
	trying   bool
	tryAt    time.Time    // the next one
	tries    int          // without success
	last     []netip.Addr // what was tried
	planeDue bool         // see postpone
	moves    int          // lately; see stands
	moved    time.Time    // the last one
}

func (l *lookout) begin(ctx context.Context, log *slog.Logger) {
	var err error
	l.rest = lookTold
	if l.changes, err = underlay.Watch(ctx); err != nil {
		l.rest = lookUntold
		log.Debug("the underlay address is looked at every few seconds only", "error", err)
	}
	l.trials = make(chan trial, 1)
	l.timer = time.NewTimer(l.rest)
	l.due = time.Now().Add(l.rest)
}

// hurry has a look taken soon after a change, and no more often than lookAgain
// on a host where routes change all the time.
func (l *lookout) hurry() {
	now := time.Now()
	if wait := max(lookAfterChange, lookAgain-now.Sub(l.looked)); now.Add(wait).Before(l.due) {
		l.rearm(wait)
	}
}

func (l *lookout) rearm(wait time.Duration) {
	l.timer.Reset(wait)
	l.due = time.Now().Add(wait)
}

// listen takes from a snapshot whether any member answers.
func (l *lookout) listen(s *peers.Snapshot, now time.Time) {
	if l.answer.count(s, now) && !l.unproven {
		l.tries, l.tryAt = 0, time.Time{}
	}
	if due := l.answer.since.Add(silentAfter); l.timer != nil && !l.answer.since.IsZero() && due.Before(l.due) {
		l.rearm(max(due.Sub(now), lookAgain))
	}
}

// stands reports whether another choice has been made for long enough. The way
// back from an address that is held takes longer after each move, so that one
// that flaps is not followed for ever.
func (l *lookout) stands(u underlay.Underlay, held bool, now time.Time) bool {
	if u != l.other {
		l.other, l.since = u, now
	}
	need := moveAfter
	if held && u.Addr == l.home.Addr && now.Sub(l.moved) < movesForgotten {
		need <<= min(max(l.moves-1, 0), 6)
	}
	return now.Sub(l.since) >= need
}

// count notes a move.
func (l *lookout) count(now time.Time) {
	if now.Sub(l.moved) >= movesForgotten {
		l.moves = 0
	}
	l.moves, l.moved = l.moves+1, now
}

// silent reports whether no member answers, or whether that is to be found out:
// after a move, gossip takes its time to see it.
func (l *lookout) silent(now time.Time) bool {
	return l.answer.silent(now) || l.unproven && l.answer.members && now.Sub(l.moved) >= silentAfter
}

// verdict is what to do about the underlay.
type verdict int

const (
	stay    verdict = iota // all is well, or nothing can be done
	linger                 // another would be chosen now, but this one works
	move                   // to the choice
	goHome                 // to the choice, which is where this node came from
	examine                // whether members are reached from elsewhere
)

// sight is what decide knows.
type sight struct {
	choice  underlay.Underlay // what a start would choose; zero: nothing
	here    underlay.Underlay
	home    underlay.Underlay // see lookout
	held    bool              // the host has here's address, on an interface that is up
	stood   bool              // choice has been the same for moveAfter
	members bool              // there are others to answer
	silent  bool              // none has for silentAfter
}

// decide says what to do. An address that the host has lost is left at once for
// another of its interface. For one elsewhere it is left when that has stood:
// it may be back by then. For a link-local address (RFC 3927) it is left only
// if members answer there. DHCP clients put one in the place of what will come
// back. An address that is held is left only for one where members are known to
// answer, if none does here. The exception is the address that this node came
// from. A choice that changes is no reason: VPNs and virtual links bring
// default routes that reach no member.
func decide(s sight) verdict {
	elsewhere := s.choice.Addr.IsValid() && s.choice.Addr != s.here.Addr
	worse := s.choice.Addr.IsLinkLocalUnicast() && !s.here.Addr.IsLinkLocalUnicast()
	near := s.choice.Index == s.here.Index
	switch {
	case elsewhere && !s.held && !worse && (near || s.stood):
		return move
	case elsewhere && s.stood && s.choice.Addr == s.home.Addr && !s.members:
		return goHome
	case elsewhere && s.stood && s.choice.Addr == s.home.Addr, s.silent, elsewhere && !s.held && worse:
		return examine
	case elsewhere && s.stood:
		return linger
	}
	return stay
}

// lookAround looks at the host and decides. Where there is nothing to choose,
// for a while or for good, the present underlay stays. An address that comes
// back finds its sockets as they were.
func (d *daemon) lookAround() error {
	l, now := &d.lookout, time.Now()
	l.looked = now
	u, err := underlay.Choose(d.preferring())
	same := err == nil && u.Addr == d.underlay.Addr
	held := same || d.holds(d.underlay.Addr)
	if same {
		d.settleDown(u)
	} else if err != nil {
		d.complain(err)
	}
	d.reportUnderlay(held, err)
	d.reportBridges()
	if l.planeDue && held {
		l.planeDue = false
		if err := d.update(); err != nil {
			return err
		}
	}
	s := sight{
		choice: u, here: d.underlay, home: l.home, held: held, members: l.answer.members, silent: l.silent(now),
	}
	s.stood = err == nil && !same && l.stands(u, held, now)
	switch decide(s) {
	case move:
		return d.moveTo(u, "the host no longer has the address in use")
	case goHome:
		return d.moveTo(u, "the address this node came from is back")
	case examine:
		d.tryOthers(u)
	case linger:
		d.mention(u)
	}
	switch {
	case !held, err == nil && !same && !s.stood, l.trying, s.silent && l.tries == 0:
		l.rearm(lookAgain)
	case s.silent, l.unproven, s.stood && u.Addr == l.home.Addr:
		l.rearm(lookUntold)
	default:
		l.rearm(l.rest)
	}
	return nil
}

// holds reports whether the host has an address, on an interface that is up; on
// doubt it has. What has changed about the one in use is noted.
func (d *daemon) holds(addr netip.Addr) bool {
	now, held, err := underlay.At(d.underlayOptions(), addr)
	if held && addr == d.underlay.Addr && now != d.underlay {
		d.setPlace(now)
	}
	return held || err != nil
}

// preferring are the options that keep this node where it was.
func (d *daemon) preferring() underlay.Options {
	o := d.underlayOptions()
	o.Prefer = d.underlay.Addr
	if home := d.lookout.home.Addr; home.IsValid() {
		o.Prefer = home
	}
	return o
}

// settleDown notes that all is as it was; interface and MTU may be others.
func (d *daemon) settleDown(u underlay.Underlay) {
	l := &d.lookout
	if l.trouble != "" {
		d.log.Info("the underlay address is back", "underlay", u)
	}
	if u.Addr == l.home.Addr {
		l.home = underlay.Underlay{}
	}
	d.setPlace(u)
	l.trouble, l.other, l.said = "", underlay.Underlay{}, netip.Addr{}
}

// mention says once that a start would choose another address.
func (d *daemon) mention(u underlay.Underlay) {
	if d.lookout.said == u.Addr {
		return
	}
	d.lookout.said = u.Addr
	d.log.Warn("another underlay address would be chosen at a start: staying at the one in use, which the host still has; "+
		"name it with --iface to keep it", "underlay", d.underlay, "other", u)
}

// complain logs, once, why the underlay cannot be what it ought to be.
func (d *daemon) complain(err error) {
	if text := err.Error(); text != d.lookout.trouble {
		d.lookout.trouble = text
		d.log.Warn("the underlay has changed; staying at the address in use, and looking again", "underlay", d.underlay, "error", err)
	}
}

// place is where this node is on the underlay, for other goroutines than Run's.
func (d *daemon) place() underlay.Underlay {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.underlay
}

func (d *daemon) setPlace(u underlay.Underlay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.underlay = u
}
