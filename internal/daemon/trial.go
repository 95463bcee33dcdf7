package daemon

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
	// Between trials: the first pause, and the longest after many without
	// success.
	trialPause   = 5 * time.Second
	trialLongest = time.Minute
)

// trial is which underlay addresses members are reached from.
type trial struct {
	from    netip.Addr         // the one in use when it began
	here    bool               // from that
	reached *underlay.Underlay // the first other; nil: none
}

// tryOthers finds out, beside what goes on, from which addresses of the host a
// member takes a connection. choice is tried first; it may be zero. The same
// addresses are tried again ever more seldom, others at once.
func (d *daemon) tryOthers(choice underlay.Underlay) {
	l := &d.lookout
	if l.trying {
		return
	}
	targets := d.memberEndpoints()
	var addrs []netip.Addr
	for _, t := range targets {
		if a, err := netip.ParseAddrPort(t); err == nil {
			addrs = append(addrs, a.Addr())
		}
	}
	others, err := underlay.Others(d.underlayOptions(), d.underlay.Addr, addrs)
	if err != nil {
		d.log.Debug("other underlay addresses are not known", "error", err)
	}
	if choice.Addr.IsValid() && choice.Addr != d.underlay.Addr {
		others = append([]underlay.Underlay{choice}, others...)
	}
	if len(others) == 0 && !l.unproven || len(targets) == 0 || l.tried(others) && time.Now().Before(l.tryAt) {
		return
	}
	l.trying = true
	l.tryAt = time.Now().Add(min(trialPause<<min(l.tries, 8), trialLongest))
	l.tries++
	here, report := d.underlay.Addr, l.trials
	go func() { report <- try(here, others, targets) }() // room for one
}

// tried notes what is to be tried, and reports whether it is what was before.
func (l *lookout) tried(others []underlay.Underlay) bool {
	var addrs []netip.Addr
	for _, u := range others {
		addrs = append(addrs, u.Addr)
	}
	same := slices.Equal(addrs, l.last)
	l.last = addrs
	return same
}

// memberEndpoints are members' gossip endpoints; while none is known, seeds.
func (d *daemon) memberEndpoints() []string {
	var all []string
	for _, at := range d.lookout.answer.where {
		all = append(all, at.String())
	}
	if len(all) == 0 {
		for _, seed := range d.cfg.Join {
			if _, _, err := net.SplitHostPort(seed); err != nil {
				seed = net.JoinHostPort(seed, strconv.Itoa(config.DefaultGossipPort))
			}
			all = append(all, seed)
		}
	}
	return all[:min(len(all), trialTargets)]
}

// try asks from each address at once, and takes the first in their order.
func try(here netip.Addr, others []underlay.Underlay, targets []string) trial {
	ctx, cancel := context.WithTimeout(context.Background(), trialTime)
	defer cancel()
	fromHere := make(chan bool, 1)
	go func() { fromHere <- reaches(ctx, here, targets) }()
	results := make([]chan bool, len(others))
	for i, u := range others {
		results[i] = make(chan bool, 1)
		go func() { results[i] <- reaches(ctx, u.Addr, targets) }()
	}
	t := trial{from: here, here: <-fromHere}
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

// afterTrial acts on what a trial found, if it is still of use. A node that
// reaches no member from anywhere goes back to where it came from, where others
// look for it.
func (d *daemon) afterTrial(t trial) error {
	l, now := &d.lookout, time.Now()
	l.trying = false
	if t.from != d.underlay.Addr {
		return nil // it has moved meanwhile
	}
	homeHeld := l.home.Addr.IsValid() && d.holds(l.home.Addr)
	lost := !d.holds(d.underlay.Addr)
	silent := l.silent(now)
	l.unproven = l.unproven && !t.here
	switch {
	case t.reached != nil && t.reached.Addr == l.home.Addr:
		return d.moveTo(*t.reached, "members answer at the address this node came from, which is back")
	case t.reached != nil && (lost || silent && !t.here):
		return d.moveTo(*t.reached, "members answer there, and none does at the address in use")
	case silent && !t.here && t.reached == nil && homeHeld:
		home := l.home
		return d.moveTo(home, "no member is reached since the move away from there")
	}
	return nil
}
