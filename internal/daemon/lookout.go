package daemon

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"flanneld/internal/underlay"
	"flanneld/peers"
)

// Rhythm of looking whether the underlay is still the one a start would choose.
const (
	lookAfterChange = 200 * time.Millisecond // of links, addresses or routes
	lookAgain       = time.Second            // while something is amiss
	lookUntold      = 5 * time.Second        // where the kernel does not tell of changes
	lookTold        = 30 * time.Second       // where it does
	// moveAfter is how long another choice must stand while the host still has
	// the address in use: routes that flap move nobody.
	moveAfter = 3 * time.Second
	// moveTime bounds one attempt to move the gossip.
	moveTime = 10 * time.Second
)

// lookout sees when the underlay address changes. Belongs to the goroutine of
// Run.
type lookout struct {
	changes <-chan struct{} // nil: the kernel does not tell
	timer   *time.Timer
	due     time.Time     // when timer fires
	looked  time.Time     // last
	rest    time.Duration // between looks while nothing is amiss
	other   underlay.Underlay
	since   time.Time // when other was first chosen
	trouble string    // last logged
}

func (l *lookout) begin(ctx context.Context, log *slog.Logger) {
	var err error
	l.rest = lookTold
	if l.changes, err = underlay.Watch(ctx); err != nil {
		l.rest = lookUntold
		log.Debug("the underlay address is looked at every few seconds only", "error", err)
	}
	l.timer = time.NewTimer(l.rest)
	l.due = time.Now().Add(l.rest)
}

// hurry has a look taken soon after a change, and no more often than lookAgain on
// a host where routes change all the time.
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

// stands says whether another choice has been made for long enough.
func (l *lookout) stands(u underlay.Underlay, now time.Time) bool {
	if u != l.other {
		l.other, l.since = u, now
	}
	return now.Sub(l.since) >= moveAfter
}

// lookAround chooses the underlay anew. Where there is nothing to choose, for a
// while or for good, the present one stays: an address that comes back finds
// its sockets as they were.
func (d *daemon) lookAround() error {
	l := &d.lookout
	l.looked = time.Now()
	u, err := underlay.Choose(d.underlayOptions())
	switch {
	case err == nil && u.Addr == d.underlay.Addr && u.PublicAddr == d.underlay.PublicAddr:
		d.settleDown(u)
		return nil
	case err == nil && (l.stands(u, time.Now()) || d.addressGone()):
		return d.moveTo(u)
	case err != nil:
		d.complain(err)
	}
	l.rearm(lookAgain)
	return nil
}

// addressGone says whether the host has lost the address in use.
func (d *daemon) addressGone() bool {
	held, err := underlay.Holds(d.underlay.Addr)
	return err == nil && !held
}

// settleDown notes that all is as it was; interface and MTU may be others.
func (d *daemon) settleDown(u underlay.Underlay) {
	if d.lookout.trouble != "" {
		d.log.Info("the underlay address is back", "underlay", u)
	}
	d.setPlace(u)
	d.lookout.trouble, d.lookout.other = "", underlay.Underlay{}
	d.lookout.rearm(d.lookout.rest)
}

// complain logs, once, why the underlay cannot be what it ought to be.
func (d *daemon) complain(err error) {
	if text := err.Error(); text != d.lookout.trouble {
		d.lookout.trouble = text
		d.log.Warn("the underlay has changed; staying at the address in use, and looking again", "underlay", d.underlay, "error", err)
	}
}

// moveTo goes on at another underlay address: first everything that can fail
// without harm, then gossip, then the data plane.
func (d *daemon) moveTo(u underlay.Underlay) error {
	d.lookout.rearm(lookAgain)
	if err := d.checkPlace(u); err != nil {
		d.complain(err)
		return nil
	}
	sockets, err := d.listenOn(u.Addr)
	if err != nil {
		d.complain(err)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), moveTime)
	defer cancel()
	if err := d.node.Move(ctx, u.PublicAddr, u.Addr); err != nil {
		closeSockets(sockets)
		if !errors.Is(err, peers.ErrNotRunning) { // not yet: it is tried again
			d.complain(err)
		}
		return nil
	}
	d.log.Info("the underlay address has changed", "was", d.underlay, "is", u)
	d.lookout.trouble = ""
	d.settleDown(u)
	closeSockets(d.sockets)
	d.sockets = sockets
	return d.renewPlane()
}

// checkPlace asks of a new address what is asked at the start.
func (d *daemon) checkPlace(u underlay.Underlay) error {
	if err := d.checkExposure(u); err != nil {
		return err
	}
	if network := d.node.Snapshot().Network.Prefix; network.IsValid() {
		return u.Outside(network)
	}
	return nil
}

// renewPlane puts the data plane on the new sockets.
func (d *daemon) renewPlane() error {
	if d.plane == nil {
		return nil
	}
	lease, network := d.plane.lease, d.plane.network
	d.closePlane(nil)
	p, err := d.openPlane(lease, network)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plane = p
	return nil
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
