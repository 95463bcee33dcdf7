// SPDX-License-Identifier: Apache-2.0

package underlaywatch

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/host/underlay"
)

const (
	trialTime    = 2 * time.Second // for a member to take a connection
	trialTargets = 8               // members that are asked
	// Between trials: the first pause, and the longest after many failures.
	trialPause   = 5 * time.Second
	trialLongest = time.Minute
)

// Trial is which underlay addresses reach a member.
type Trial struct {
	from    netip.Addr         // the address in use when it began
	here    bool               // that address does
	reached *underlay.Underlay // the first other that does; nil: none
}

// trials is the state of a Watcher's trials.
type trials struct {
	results chan Trial // one trial at most is running
	running bool
	next    time.Time    // not before
	failed  int          // since the last success
	last    []netip.Addr // what was tried
}

// succeeded lets the next trial begin at once.
func (t *trials) succeeded() { t.failed, t.next = 0, time.Time{} }

// tryOthers finds out, in the background, from which addresses of the host a
// member takes a connection. choice is tried first; it may be zero. The same
// addresses are tried again ever more seldom, others at once.
func (w *Watcher) tryOthers(choice underlay.Underlay) {
	t := &w.trials
	if t.running {
		return
	}
	targets := w.targets()
	var addrs []netip.Addr
	for _, target := range targets {
		if a, err := netip.ParseAddrPort(target); err == nil {
			addrs = append(addrs, a.Addr())
		}
	}
	here := w.Here().Addr
	others, err := w.host.Others(w.cfg.Options, here, addrs)
	if err != nil {
		w.cfg.Log.Debug("other underlay addresses are not known", "error", err)
	}
	if choice.Addr.IsValid() && choice.Addr != here {
		others = append([]underlay.Underlay{choice}, others...)
	}
	if len(others) == 0 && !w.moves.unproven || len(targets) == 0 || t.tried(others) && time.Now().Before(t.next) {
		return
	}
	t.running = true
	t.next = time.Now().Add(min(trialPause<<min(t.failed, 8), trialLongest))
	t.failed++
	results := t.results
	go func() { results <- try(here, others, targets) }() // room for one
}

// tried notes what is to be tried, and reports whether it is what was tried
// before.
func (t *trials) tried(others []underlay.Underlay) bool {
	var addrs []netip.Addr
	for _, u := range others {
		addrs = append(addrs, u.Addr)
	}
	same := slices.Equal(addrs, t.last)
	t.last = addrs
	return same
}

// targets are members' gossip endpoints, and seeds while no member is known.
func (w *Watcher) targets() []string {
	var all []string
	for _, at := range w.members.where {
		all = append(all, at.String())
	}
	if len(all) == 0 {
		for _, seed := range w.cfg.Seeds {
			if _, _, err := net.SplitHostPort(seed); err != nil {
				seed = net.JoinHostPort(seed, strconv.Itoa(config.DefaultGossipPort))
			}
			all = append(all, seed)
		}
	}
	return all[:min(len(all), trialTargets)]
}

// try asks from all addresses at once, and takes the first in their order that
// reaches a member.
func try(here netip.Addr, others []underlay.Underlay, targets []string) Trial {
	ctx, cancel := context.WithTimeout(context.Background(), trialTime)
	defer cancel()
	fromHere := make(chan bool, 1)
	go func() { fromHere <- reaches(ctx, here, targets) }()
	results := make([]chan bool, len(others))
	for i, u := range others {
		results[i] = make(chan bool, 1)
		go func() { results[i] <- reaches(ctx, u.Addr, targets) }()
	}
	t := Trial{from: here, here: <-fromHere}
	for i := range others {
		if <-results[i] && t.reached == nil {
			t.reached = &others[i]
		}
	}
	return t
}

// reaches reports whether any of the targets, host:port, takes a TCP connection
// from the address.
func reaches(ctx context.Context, from netip.Addr, targets []string) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	taken := make(chan bool, len(targets))
	for _, target := range targets {
		go func() {
			conn, err := dialer.DialContext(ctx, "tcp4", target)
			if err == nil {
				_ = conn.Close()
			}
			taken <- err == nil
		}()
	}
	for range targets {
		if <-taken {
			return true
		}
	}
	return false
}

// Finish acts on the result of a trial, if it is still of use. A node that
// reaches no member from any address goes back to where it came from, where
// others look for it. An error ends the daemon.
func (w *Watcher) Finish(t Trial) error {
	now := time.Now()
	w.trials.running = false
	here, home := w.Here(), w.moves.home
	if t.from != here.Addr {
		return nil // it has moved meanwhile
	}
	homeHeld := home.Addr.IsValid() && w.holds(home.Addr)
	lost := !w.holds(here.Addr)
	silent := w.silent(now)
	w.moves.unproven = w.moves.unproven && !t.here
	switch {
	case t.reached != nil && t.reached.Addr == home.Addr:
		return w.move(*t.reached, "members answer at the address this node came from, which is back")
	case t.reached != nil && (lost || silent && !t.here):
		return w.move(*t.reached, "members answer there, and none does at the address in use")
	case silent && !t.here && t.reached == nil && homeHeld:
		return w.move(home, "no member is reached since the move away from there")
	}
	return nil
}
