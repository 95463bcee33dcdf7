// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import (
	"errors"
	"net/netip"
	"time"

	"flanneld/internal/host/underlay"
	"flanneld/peers"
)

// host is what a Watcher asks about this host.
type host interface {
	Choose(underlay.Options) (underlay.Underlay, error)
	At(underlay.Options, netip.Addr) (underlay.Underlay, bool, error)
	Others(o underlay.Options, here netip.Addr, targets []netip.Addr) ([]underlay.Underlay, error)
}

// kernel asks the kernel.
type kernel struct{}

func (kernel) Choose(o underlay.Options) (underlay.Underlay, error) { return underlay.Choose(o) }

func (kernel) At(o underlay.Options, a netip.Addr) (underlay.Underlay, bool, error) {
	return underlay.At(o, a)
}

func (kernel) Others(o underlay.Options, here netip.Addr, targets []netip.Addr) ([]underlay.Underlay, error) {
	return underlay.Others(o, here, targets)
}

// Check looks at the host and decides. Where there is nothing to choose, for a
// while or for good, the node stays where it is. An address that comes back
// finds its sockets as they were. An error ends the daemon.
func (w *Watcher) Check() error {
	now := time.Now()
	w.checked = now
	u, err := w.host.Choose(w.preferring())
	here := w.Here()
	same := err == nil && u.Addr == here.Addr
	held := same || w.holds(here.Addr)
	if same {
		w.accept(u)
	} else if err != nil {
		w.logOnce(err)
	}
	w.report(held, err)
	if w.waited && held {
		w.waited = false
		if err := w.cfg.Mover.AddressBack(); err != nil {
			return err
		}
	}
	s := situation{
		choice: u, here: w.Here(), home: w.moves.home, held: held, members: w.members.any, silent: w.silent(now),
	}
	s.stood = err == nil && !same && w.stands(u, held, now)
	switch decide(s) {
	case move:
		return w.move(u, "the host no longer has the address in use")
	case goHome:
		return w.move(u, "the address this node came from is back")
	case examine:
		w.tryOthers(u)
	case linger:
		w.offer(u)
	}
	switch {
	case !held, err == nil && !same && !s.stood, w.trials.running, s.silent && w.trials.failed == 0:
		w.rearm(Again)
	case s.silent, w.moves.unproven, s.stood && u.Addr == w.moves.home.Addr:
		w.rearm(unreported)
	default:
		w.rearm(w.rest)
	}
	return nil
}

// holds reports whether the host has an address, on an interface that is up. It
// does where the host cannot be asked. What has changed about the address in
// use is noted.
func (w *Watcher) holds(addr netip.Addr) bool {
	now, held, err := w.host.At(w.cfg.Options, addr)
	if here := w.Here(); held && addr == here.Addr && now != here {
		w.here.Store(&now)
	}
	return held || err != nil
}

// preferring are the options that keep this node where it was.
func (w *Watcher) preferring() underlay.Options {
	o := w.cfg.Options
	o.Prefer = w.Here().Addr
	if home := w.moves.home.Addr; home.IsValid() {
		o.Prefer = home
	}
	return o
}

// accept notes that this node is where it ought to be. Interface and MTU may
// have changed.
func (w *Watcher) accept(u underlay.Underlay) {
	if w.logged != "" {
		w.cfg.Log.Info("the underlay address is back", "underlay", u)
	}
	if u.Addr == w.moves.home.Addr {
		w.moves.home = underlay.Underlay{}
	}
	w.here.Store(&u)
	w.logged, w.other, w.offered = "", underlay.Underlay{}, netip.Addr{}
}

// offer logs once that a start would choose another address.
func (w *Watcher) offer(u underlay.Underlay) {
	if w.offered == u.Addr {
		return
	}
	w.offered = u.Addr
	w.cfg.Log.Warn("another underlay address would be chosen at a start: staying at the one in use, which the host still has; "+
		"name it with --iface to keep it", "underlay", w.Here(), "other", u)
}

// logOnce logs, once, why the underlay cannot be what it ought to be.
func (w *Watcher) logOnce(err error) {
	if text := err.Error(); text != w.logged {
		w.logged = text
		w.cfg.Log.Warn("the underlay has changed; staying at the address in use, and checking again", "underlay", w.Here(), "error", err)
	}
}

// move goes on at another underlay address. why says what made it.
func (w *Watcher) move(u underlay.Underlay, why string) error {
	w.rearm(Again)
	if err := w.cfg.Mover.Move(u); err != nil {
		if !errors.Is(err, peers.ErrNotRunning) { // not yet: it is tried again
			w.logOnce(err)
		}
		return nil
	}
	was := w.Here()
	w.cfg.Log.Warn("moved to another underlay address", "was", was, "is", u, "reason", why)
	if !w.moves.home.Addr.IsValid() {
		w.moves.home = was
	}
	w.logged = ""
	w.trials.failed, w.trials.next = 0, time.Now().Add(trialPause)
	w.moves.add(time.Now())
	w.moves.unproven = true
	w.members.since = time.Time{} // members are still to be reached from there
	w.accept(u)
	w.report(true, nil)
	return w.cfg.Mover.Moved()
}
