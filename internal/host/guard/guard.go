// SPDX-License-Identifier: Apache-2.0

// Package guard puts back what other programs take away from this host: the
// parts that flanneld keeps (see package host).
//
// It has one list of parts, for a running daemon and for a stopped one. A
// running daemon keeps them: the device, forwarding, run directory, socket and
// files in one goroutine. The kernel paths, the short-cut, the firewall rules,
// each of its three tables of nf_tables, and the judgement of other programs'
// rules have a goroutine each. iptables can take long, and nothing of the data
// plane waits for a loop.
package guard

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"flanneld/internal/host"
	"flanneld/internal/host/firewall"
	"flanneld/internal/host/kernelpath"
	"flanneld/internal/host/link"
	"flanneld/internal/host/pathrules"
	"flanneld/internal/host/ports"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/problem"
)

// interval is how often the host is looked at. Rules that another program
// flushed are to be back within 10 s.
const interval = 3 * time.Second

// pace is for what is put back. A start of dockerd would otherwise hide source
// addresses for some seconds, and connections keep what they began with. The
// guard takes a twentieth of a core at most.
var pace = host.Pace{Delay: 200 * time.Millisecond, Min: time.Second, Max: 8 * time.Second, Factor: 20}

// Guard keeps the parts. Its methods may be called concurrently. It lives as
// long as the daemon, and has a target while there is a data plane.
type Guard struct {
	log    *slog.Logger
	keeper host.Keeper
	parts  *Parts
	hub    *ruleset.Hub

	rulesWake  chan struct{} // capacity one, as the others: another target
	portsWake  chan struct{} // other members, or another underlay
	othersWake chan struct{} // another target, or other links
	deviceWake chan struct{}
	// pathRulesWake: other kernel paths, or peers that may send by them.
	pathRulesWake chan struct{}
	pathsWake     chan struct{} // another configuration, or peers that could not be set

	pulses  pulses
	repairs *repairs
	// repaired is told what was put back, and which program had changed it,
	// where that is known.
	repaired func(part string, changes []string, by string)

	mu     sync.Mutex
	state  State
	target *target
	// overruled is the rule of another program that drops what must pass.
	overruled string
}

// target is what a data plane needs on the host.
type target struct {
	rules   *firewall.Firewall
	settled chan struct{} // closed after the first look at the rules
	ctx     context.Context
	cancel  context.CancelFunc
}

// Target is what a data plane needs on the host.
type Target struct {
	Device link.Config
	Rules  firewall.Config
}

// State is what status shows of the guard.
type State struct {
	Firewall          RuleState
	FirewallNote      string // about a RuleState other than RulesInPlace
	FirewallRepairs   uint64
	DeviceRepairs     uint64
	ForwardingChanged bool // net.ipv4.ip_forward was off
	// Repairs counts by the name of each part how often other programs' changes
	// were undone.
	Repairs map[string]uint64
}

// RuleState is how the firewall rules are; "" while they were not looked at.
type RuleState string

// States of the firewall rules.
const (
	RulesInPlace   RuleState = "ok"
	RulesLeft      RuleState = "none"      // no iptables: they are left to the operator
	RulesFailed    RuleState = "failed"    // they cannot be put in place
	RulesOverruled RuleState = "overruled" // other programs' rules drop what must pass
)

// New makes a Guard that does nothing yet; see Run. The hub has to be started
// by the caller.
func New(parts *Parts, hub *ruleset.Hub, board *problem.Board, log *slog.Logger) *Guard {
	wake := func() chan struct{} { return make(chan struct{}, 1) }
	g := &Guard{
		log: log, parts: parts, hub: hub,
		rulesWake: wake(), portsWake: wake(), othersWake: wake(), deviceWake: wake(),
		pathRulesWake: wake(), pathsWake: wake(),
	}
	g.pulses = newPulses(parts.List())
	g.repairs = newRepairs(parts.List())
	g.repaired = func(string, []string, string) {}
	g.keeper = host.Keeper{Log: log, Board: board, Ensured: g.ensured}
	return g
}

// Follow has tell called with each repair: the part, what was changed, and the
// program that had changed it before, "" where that is not known. It is called
// from several goroutines, must not wait, and is set before Run.
func (g *Guard) Follow(tell func(part string, changes []string, by string)) { g.repaired = tell }

// Run keeps the parts until ctx ends.
func (g *Guard) Run(ctx context.Context) {
	var all sync.WaitGroup
	loops := []func(context.Context){
		g.deviceLoop, g.pathsLoop, g.parts.Paths.Follow, g.shortcutLoop, g.addressesLoop, g.rulesLoop, g.portsLoop,
		g.pathRulesLoop, g.othersLoop,
	}
	for _, loop := range loops {
		all.Go(func() { loop(ctx) })
	}
	all.Wait()
}

// Keep makes the guard look after a data plane. When it returns, the table with
// which containers keep their addresses is in place. The channel is closed
// after the first look at the firewall rules, whatever its outcome.
func (g *Guard) Keep(want Target) (settled <-chan struct{}, err error) {
	rules, err := g.parts.Want(want)
	if err != nil {
		return nil, err
	}
	g.repairs.wanted()
	t := &target{rules: rules, settled: make(chan struct{})}
	g.keepAddresses(t)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	g.mu.Lock()
	g.target = t
	g.mu.Unlock()
	host.Poke(g.rulesWake)
	host.Poke(g.othersWake)
	host.Poke(g.deviceWake)
	return t.settled, nil
}

// KeepFiles makes the guard look after the files of the data plane as well.
func (g *Guard) KeepFiles(subnet, docker []byte) {
	if g.current() != nil {
		g.parts.Subnet.Want(subnet)
		g.parts.Docker.Want(docker)
	}
}

// Release ends what Keep began. A running iptables is killed. When Release
// returns, the guard touches neither device nor files any more.
func (g *Guard) Release() {
	g.mu.Lock()
	t := g.target
	g.target = nil
	g.mu.Unlock()
	if t != nil {
		t.cancel()
	}
	g.parts.forget()
}

// Protect sets the members, with the ports to which only the daemon may send,
// and the device that datagrams leave by.
func (g *Guard) Protect(members []ports.Member, underlay string) {
	g.parts.Ports.Want(members, underlay)
	g.repairs.wanted(g.parts.Ports)
	host.Poke(g.portsWake)
}

// ProtectPaths sets which kernel paths are in use, and which peers may send by
// them; nil: not known yet.
func (g *Guard) ProtectPaths(c *pathrules.Config, peers []pathrules.Peer) {
	before := g.parts.PathRules.Wanted()
	g.parts.PathRules.Want(c)
	g.parts.PathRules.SetPeers(peers)
	g.repairs.wanted(g.parts.PathRules)
	host.Poke(g.pathRulesWake)
	if !reflect.DeepEqual(before, c) {
		host.Poke(g.othersWake)
	}
}

// KeepPaths makes the guard look after the kernel paths, until Release, and
// after the checks of what comes by them. It looks for neighbors, puts the
// checks in place, with what senders returns by then, and makes the devices
// last. Without the checks there are no devices. When KeepPaths returns, it is
// known which paths this host has. The peers are set by Reach.
func (g *Guard) KeepPaths(rules pathrules.Config, c kernelpath.Config, senders func() []pathrules.Peer) {
	g.parts.Paths.LookAround(c.Underlay)
	g.ProtectPaths(&rules, senders())
	g.keeper.Keep(context.Background(), slog.LevelInfo, g.parts.PathRules)
	g.parts.Paths.Want(&c)
	g.keepPaths(context.Background())
}

// Reach sets the peers of the kernel paths. When it returns, packets take the
// ways that could be changed at once.
func (g *Guard) Reach(peers []kernelpath.Peer) {
	if due := g.parts.Paths.SetPeers(peers); due {
		g.repairs.wanted(g.parts.Paths)
		host.Poke(g.pathsWake)
	}
}

// Settle puts into effect what was set a moment ago and is not due yet. What
// stays on the host after the end of the daemon is then as it was last wanted.
func (g *Guard) Settle(ctx context.Context) {
	g.keeper.Keep(ctx, slog.LevelInfo, g.parts.Ports, g.parts.PathRules)
	g.keepPaths(ctx)
}

// JudgeSoon makes the guard look at other programs' rules: one came or went,
// and perhaps without a report of the kernel.
func (g *Guard) JudgeSoon() { host.Poke(g.othersWake) }

// DeviceRepaired counts a repair of the device, with what was changed.
func (g *Guard) DeviceRepaired(changes ...string) {
	g.repairs.add(g.parts.Device)
	g.repaired(g.parts.Device.Name(), changes, "")
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state.DeviceRepairs++
}

// State returns what status shows.
func (g *Guard) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.state
	s.ForwardingChanged, s.Repairs = g.parts.Forwarding.WasOff(), g.repairs.all()
	if s.Firewall == RulesInPlace && g.overruled != "" {
		s.Firewall, s.FirewallNote = RulesOverruled, g.overruled
	}
	return s
}

func (g *Guard) current() *target {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.target
}

// ensured counts what the keeper has changed. The device was made before: each
// change is a repair.
func (g *Guard) ensured(p host.Part, changes []string, err error) {
	if p != host.Part(g.parts.Device) {
		if g.repairs.ensured(p, changes, err) {
			g.repaired(p.Name(), changes, "")
		}
	} else if len(changes) > 0 {
		g.DeviceRepaired(changes...)
	}
}
