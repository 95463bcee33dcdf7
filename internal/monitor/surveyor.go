// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"flanneld/internal/host/bridge"
	"flanneld/internal/host/fib"
)

// Rhythm of asking the kernel for its routes.
const (
	detourDelay  = 200 * time.Millisecond // after a change
	detourAgain  = time.Second            // between two looks, at least
	detourTold   = time.Minute            // where the kernel reports changes
	detourUntold = 5 * time.Second        // where it does not
	// detourShare is how many times as long as a look took the next one
	// waits. On a host with many routes that change all the time, looks
	// cost a twentieth of a core.
	detourShare = 20
)

// surveyor knows which parts of the network this host's kernel sends elsewhere
// than to the overlay device.
type surveyor struct {
	log            *slog.Logger
	network, lease netip.Prefix
	device         string
	changed        func() // after detours have changed

	seen    string // what the last answers stand on
	trouble string // last logged

	mu      sync.Mutex
	detours []fib.Detour
}

// run looks at every change until ctx ends.
func (s *surveyor) run(ctx context.Context) {
	rest := detourTold
	changes, err := fib.Watch(ctx)
	if err != nil {
		rest = detourUntold
		s.log.Debug("the kernel's routes are looked at every few seconds only", "error", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var earliest time.Time
	due := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-changes:
			if !open {
				changes, rest = nil, detourUntold
			}
			if next := latest(time.Now().Add(detourDelay), earliest); next.Before(due) {
				due = next
				timer.Reset(time.Until(due))
			}
			continue
		case <-timer.C:
		}
		began := time.Now()
		s.look()
		took := time.Since(began)
		earliest = time.Now().Add(max(detourAgain, detourShare*took))
		due = latest(time.Now().Add(rest), earliest)
		timer.Reset(time.Until(due))
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// look asks the kernel anew where its lists say that the answers may be others.
func (s *surveyor) look() {
	detours, seen, err := s.survey()
	if err != nil {
		if s.trouble != err.Error() {
			s.log.Warn("where the kernel sends overlay packets is not known", "error", err)
		}
		s.trouble = err.Error()
		return
	}
	s.trouble = ""
	if seen == s.seen {
		return
	}
	s.seen = seen
	s.mu.Lock()
	s.detours = detours
	s.mu.Unlock()
	s.changed()
}

// survey returns the detours, nil where they are those of the last time.
func (s *surveyor) survey() (detours []fib.Detour, seen string, err error) {
	host, err := fib.Read(s.network, s.device)
	if err != nil {
		return nil, "", err
	}
	from, err := Origins(s.lease)
	if err != nil {
		return nil, "", err
	}
	if seen = fmt.Sprint(host.Signature, from); seen == s.seen {
		return nil, seen, nil
	}
	detours, err = fib.Detours(host, s.network, s.lease, s.device, from)
	return detours, seen, err
}

// current returns what the last look has found.
func (s *surveyor) current() []fib.Detour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.detours
}

// Origins are where overlay packets come from on this host: itself, and every
// bridge with an address of the lease.
func Origins(lease netip.Prefix) ([]fib.Origin, error) {
	found, err := bridge.List()
	if err != nil {
		return nil, err
	}
	all := []fib.Origin{{}}
	for _, b := range found {
		for _, a := range b.Addrs {
			if source := neighborOf(a); lease.Contains(a.Addr()) && source.IsValid() {
				all = append(all, fib.Origin{Device: b.Name, Source: source})
				break
			}
		}
	}
	return all, nil
}

// neighborOf is an address that a container on a bridge with this address
// could have; zero where there is none.
func neighborOf(bridge netip.Prefix) netip.Addr {
	for _, a := range []netip.Addr{bridge.Addr().Next(), bridge.Addr().Prev()} {
		if bridge.Contains(a) && a != bridge.Masked().Addr() {
			return a
		}
	}
	return netip.Addr{}
}
