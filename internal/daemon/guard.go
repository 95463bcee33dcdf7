package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/firewall"
	"flanneld/internal/link"
)

// guardInterval is how often the host is looked at. Rules that somebody flushed
// are to be back within 10 s.
const guardInterval = 3 * time.Second

// When somebody changes rules, ours are looked at soon: dockerd's start would
// otherwise hide source addresses for some seconds, and connections keep what
// they began with. Several changes at once make one look, and a host whose
// rules change all the time is looked at once a second.
const (
	changeDelay    = 200 * time.Millisecond
	changeInterval = time.Second
)

// guard puts back what other programs take away from the host: device settings,
// firewall rules, forwarding. Running iptables can take long when another
// program holds its lock, which is why this has a goroutine of its own.
type guard struct {
	log   *slog.Logger
	link  link.Config
	rules *firewall.Firewall

	mu sync.Mutex
	guardState
}

// guardState is what status shows.
type guardState struct {
	firewall, firewallNote string // see control.Host
	firewallRepairs        uint64
	deviceRepairs          uint64
	forwardingChanged      bool
	trouble                string // last logged about the device
}

// run looks after the host until ctx ends. settled is closed after the first
// round, when all is in place that can be.
func (g *guard) run(ctx context.Context, settled chan<- struct{}) {
	tick := time.NewTicker(guardInterval)
	defer tick.Stop()
	changes, err := watchRuleset(ctx)
	if err != nil {
		g.log.Debug("rules are looked at every few seconds only", "error", err)
	}
	g.forwarding()
	g.firewallRound(true)
	close(settled)
	var soon <-chan time.Time // set: a look is due
	var looked time.Time      // because of a change
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			if soon == nil {
				soon = time.After(max(changeDelay, changeInterval-time.Since(looked)))
			}
			continue
		case <-soon:
			looked, soon = time.Now(), nil
		case <-tick.C:
			g.forwarding()
			g.deviceRound()
		}
		g.firewallRound(false)
	}
}

// after adds what earlier guards did.
func (s guardState) after(earlier guardState) guardState {
	s.firewallRepairs += earlier.firewallRepairs
	s.deviceRepairs += earlier.deviceRepairs
	s.forwardingChanged = s.forwardingChanged || earlier.forwardingChanged
	return s
}

func (g *guard) state() guardState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.guardState
}

// forwarding keeps net.ipv4.ip_forward on.
func (g *guard) forwarding() {
	changed, err := link.EnableForwarding()
	switch {
	case err != nil:
		g.logOnce("ip_forward", err)
	case changed:
		g.log.Info("net.ipv4.ip_forward was off, turned it on")
		g.mu.Lock()
		g.forwardingChanged = true
		g.mu.Unlock()
	}
}

// deviceRound corrects the device. One that is gone is the forwarder's to
// notice.
func (g *guard) deviceRound() {
	repaired, err := link.Ensure(g.link)
	if err != nil && !errors.Is(err, link.ErrNoDevice) {
		g.logOnce("device", err)
		return
	}
	if len(repaired) > 0 {
		g.log.Warn("device was changed by somebody, put right", "device", g.link.Name, "what", repaired)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trouble = ""
	if len(repaired) > 0 {
		g.deviceRepairs++
	}
}

// logOnce logs a failure when it is another one than last time.
func (g *guard) logOnce(what string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	text := what + ": " + err.Error()
	if g.trouble != text {
		g.log.Error("host cannot be put right, trying again", "what", what, "error", err)
		g.trouble = text
	}
}

// firewallRound puts the rules in place; what it had to do is worth a line, at
// the first time a quiet one.
func (g *guard) firewallRound(first bool) {
	changes, err := g.rules.Ensure()
	state, note := control.FirewallOK, ""
	switch {
	case errors.Is(err, firewall.ErrNoIPTables):
		state, note = control.FirewallNone, "no iptables on this host"
	case err != nil:
		state, note = control.FirewallFailed, err.Error()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if state != g.firewall || note != g.firewallNote {
		g.logFirewall(state, err)
	}
	g.firewall, g.firewallNote = state, note
	switch {
	case len(changes) == 0:
	case first:
		g.log.Info("firewall rules in place", "changes", len(changes))
	default:
		g.firewallRepairs++
		g.log.Warn("firewall rules were changed by somebody, put back", "what", changes)
	}
}

// logFirewall tells of a change of state; g.mu is held.
func (g *guard) logFirewall(state string, err error) {
	switch state {
	case control.FirewallOK:
		if g.firewall != "" {
			g.log.Info("firewall rules are in place again")
		}
	case control.FirewallNone:
		g.log.Warn("no iptables on this host: firewall rules are left to you")
	default:
		g.log.Error("firewall rules could not be put in place, trying again", "error", err)
	}
}
