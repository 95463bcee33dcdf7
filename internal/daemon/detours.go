package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/fib"
	"flanneld/internal/problem"
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
	from, err := origins(s.lease)
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

// origins are where overlay packets come from on this host: itself, and every
// bridge with an address of the lease.
func origins(lease netip.Prefix) ([]fib.Origin, error) {
	found, err := bridge.List()
	if err != nil {
		return nil, err
	}
	all := []fib.Origin{{}}
	for _, b := range found {
		for _, a := range b.Addrs {
			if source := neighbourOf(a); lease.Contains(a.Addr()) && source.IsValid() {
				all = append(all, fib.Origin{Device: b.Name, Source: source})
				break
			}
		}
	}
	return all, nil
}

// neighbourOf is an address that a container on a bridge with this address
// could have; zero where there is none.
func neighbourOf(bridge netip.Prefix) netip.Addr {
	for _, a := range []netip.Addr{bridge.Addr().Next(), bridge.Addr().Prev()} {
		if bridge.Contains(a) && a != bridge.Masked().Addr() {
			return a
		}
	}
	return netip.Addr{}
}

// reportDetours reports the detours that cut nodes off to the board.
func (d *daemon) reportDetours(s *surveyor) {
	names := acquaint(d.node.Snapshot())
	current := d.routing.current()
	var problems []problem.Problem
	for _, detour := range s.current() {
		var cut []string
		for _, r := range current.CutOff(detour.Prefix) {
			name := r.Name
			if _, node := names[r.ID]; node {
				name = names.name(r.ID).Text()
			}
			cut = append(cut, name)
		}
		if len(cut) > 0 {
			problems = append(problems, detourProblem(detour, s.device, s.network, cut))
		}
	}
	d.problems.Report("route", problems...)
}

// cutNamed is how many nodes are named that a detour cuts off.
const cutNamed = 4

func detourProblem(d fib.Detour, device string, network netip.Prefix, cut []string) problem.Problem {
	if more := len(cut) - cutNamed; more > 0 {
		cut = append(cut[:cutNamed:cutNamed], fmt.Sprintf("%d more", more))
	}
	p := problem.Problem{Text: fmt.Sprintf("packets of %s to %s do not go to %s: %s; that cuts off %s",
		fromText(d.From), d.Prefix, device, d.Text, strings.Join(cut, ", "))}
	switch {
	case strings.HasPrefix(d.Device, "br-"), d.Device == bridge.Docker:
		p.Advice = bridge.Bridge{Name: d.Device}.MoveAway(network)
	case d.Remove != "":
		p.Advice = d.Remove
	case d.Device != "" && d.Table != 0:
		p.Advice = fmt.Sprintf("give %s other addresses, or have packets to %s looked up in table main first (ip rule; ip route show table %d)", d.Device, network, d.Table)
	default:
		p.Advice = fmt.Sprintf("look for what decides so (ip rule; %s)", askLike(d))
	}
	return p
}

// askLike is the command that asks the kernel what was asked: a rule may be
// about the packets of one bridge, source or mark alone.
func askLike(d fib.Detour) string {
	words := "ip route get " + d.Prefix.Addr().Next().String()
	if len(d.From) == 0 {
		return words
	}
	from := d.From[0]
	if from.Source.IsValid() {
		words += " from " + from.Source.String()
	}
	if from.Device != "" {
		words += " iif " + from.Device
	}
	if from.Mark != 0 {
		words += fmt.Sprintf(" mark %#x", from.Mark)
	}
	return words
}

func fromText(from []fib.Origin) string {
	var names []string
	for _, o := range from {
		if o.Device == "" {
			names = append(names, "this host")
		} else {
			names = append(names, o.String())
		}
	}
	return strings.Join(names, " and ")
}

// detourNotes says, by node ID or static peer, what is in the way of packets to
// it. d.mu is held.
func (d *daemon) detourNotes() map[string]string {
	if d.plane == nil {
		return nil
	}
	notes, current := map[string]string{}, d.routing.current()
	for _, detour := range d.plane.surveyor.current() {
		for _, r := range current.CutOff(detour.Prefix) {
			notes[r.ID] = joinNotes(notes[r.ID], fmt.Sprintf("packets of %s to %s do not go to %s: %s",
				fromText(detour.From), detour.Prefix, d.plane.surveyor.device, detour.Text))
		}
	}
	return notes
}

// kernelRoutes asks the kernel where packets to an address go, also with the
// marks that its rules ask for. wanted says that they ought to go to the
// device.
func (d *daemon) kernelRoutes(a netip.Addr, wanted bool) []control.KernelRoute {
	d.mu.Lock()
	p := d.plane
	d.mu.Unlock()
	all := []control.KernelRoute{}
	if p == nil {
		return all
	}
	from, err := origins(p.lease)
	if err != nil {
		return all
	}
	if host, err := fib.Read(p.network, p.link.Name); err == nil {
		for _, o := range slices.Clone(from) {
			for _, mark := range host.Marks {
				o.Mark = mark
				from = append(from, o)
			}
		}
	}
	for _, o := range from {
		answer, err := fib.Ask(a, o)
		if err != nil {
			continue
		}
		all = append(all, control.KernelRoute{
			From: o.String(), Device: answer.Device, Text: answer.Text, InTheWay: wanted && answer.Device != p.link.Name,
		})
	}
	return all
}
