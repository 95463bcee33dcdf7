package daemon

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/host/link"
	"flanneld/internal/host/ports"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// beginGuard starts the guard, with the table in front of the ports: they are
// open from now on.
func (d *daemon) beginGuard() error {
	table, err := ports.New(d.cfg.Device, uint32(os.Geteuid()))
	if err != nil {
		return err
	}
	d.guard = newGuard(d.log, d.problems, d.server, d.cfg, table)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.guard.run(ctx)
	}()
	d.endGuard = func() {
		d.guard.release()
		cancel()
		select {
		case <-ended:
		case <-time.After(answerTime):
			d.log.Warn("the guard did not end in time")
		}
	}
	d.protectPorts(d.node.Snapshot())
	return nil
}

// protectPorts tells the guard whose ports are the daemon's alone.
func (d *daemon) protectPorts(s *peers.Snapshot) {
	here := d.watch.Here()
	members := portMembers(s, d.cfg.StaticPeers, here.Addr, d.cfg.Port, d.cfg.GossipPort)
	d.guard.protect(members, here.Interface)
}

// withdrawPorts removes the table where this start changed nothing else on the
// host. Otherwise it stays, as the device does.
func (d *daemon) withdrawPorts() {
	if d.guard == nil || d.planes.opened || !d.guard.ports.Created() {
		return
	}
	if err := ports.Remove(d.cfg.Device); err != nil {
		d.log.Error("not removed", "error", err)
	}
}

// portsLoop keeps the table in front of the members' ports.
func (g *guard) portsLoop(ctx context.Context) {
	var rules, links <-chan struct{}
	watcher, err := ruleset.Watch(ctx)
	if err == nil {
		rules = watcher.Changed
	}
	if c, err := link.Watch(ctx); err == nil {
		links = c
	}
	tick := time.NewTicker(guardInterval)
	defer tick.Stop()
	var (
		soon     <-chan time.Time
		devices  []string
		stale    = true // devices
		program  string
		finished time.Time
		took     time.Duration
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.portsWake:
			stale = true
			if !finished.IsZero() { // the first time at once
				soon = sooner(soon, finished, took)
				continue
			}
		case <-links:
			stale = true
			soon = sooner(soon, finished, took)
			continue
		case <-rules:
			change := watcher.Take()
			name := ports.TableName(g.deviceName)
			if change.Touches(func(c ruleset.Chain) bool { return c.Table == name }) {
				program = change.Program
				soon = sooner(soon, finished, took)
			}
			continue
		case <-soon:
		case <-tick.C: // one netlink message when nothing has changed
		}
		soon = nil
		start := time.Now()
		g.mu.Lock()
		members, underlay := g.members, g.underlay
		g.mu.Unlock()
		if len(members) == 0 {
			continue // this host's own are not known yet
		}
		if stale {
			devices, stale = ports.GatewayDevices(members, underlay), false
		}
		g.portsRound(ports.Config{Underlay: withName(devices, underlay), Members: members}, program)
		finished, took, program = time.Now(), time.Since(start), ""
	}
}

// sooner sets a timer unless one runs.
func sooner(running <-chan time.Time, finished time.Time, took time.Duration) <-chan time.Time {
	if running != nil {
		return running
	}
	return time.After(max(changeDelay, pauseAfter(took)-time.Since(finished)))
}

func withName(names []string, one string) []string {
	if one == "" || slices.Contains(names, one) {
		return names
	}
	return append(slices.Clone(names), one)
}

// portsRound puts the table in place. Without it, others could send as this
// host, so that a failure is a problem.
func (g *guard) portsRound(c ports.Config, program string) {
	changes, err := g.ports.Ensure(c)
	if len(changes) > 0 {
		g.log.Info("table in front of the ports put in place", "changes", changes, "changed_by", program)
	}
	const open = "containers and unprivileged users of this host can send into the overlay as this host: "
	switch {
	case err == nil:
		g.problems.Report("ports")
	case errors.Is(err, ports.ErrUnsupported):
		g.problems.Report("ports", problem.Problem{
			Text:   open + err.Error(),
			Advice: "load the kernel's nf_tables (modprobe nf_tables nft_fib_ipv4), of Linux 5.1 or newer",
		})
	default:
		g.problems.Report("ports", problem.Problem{
			Text: open + err.Error(), Advice: "see `nft list ruleset`; the table is tried again",
		})
	}
}

// firstFreePort: ports below are other programs' (RFC 6335), and no host can
// announce them to have this one's users cut off from a service there.
const firstFreePort = 1024

// portMembers lists the hosts whose ports are protected on this host: its own,
// those of nodes that live or hold a subnet, and static peers.
func portMembers(s *peers.Snapshot, static []config.StaticPeer, bound netip.Addr, data, gossip uint16) []ports.Member {
	own := ports.Member{Addr: bound, Data: data, Gossip: gossip, Self: true}
	members := []ports.Member{own}
	add := func(m ports.Member) {
		if !m.Addr.Is4() || m.Addr.IsUnspecified() || m.Addr.IsMulticast() {
			return
		}
		if m.Data < firstFreePort && m.Data != data {
			m.Data = 0
		}
		if m.Gossip < firstFreePort && m.Gossip != gossip {
			m.Gossip = 0
		}
		members = append(members, m)
	}
	for _, n := range s.Nodes {
		switch {
		case n.Self:
			// Others, and a router, may reach it by the address it announces.
			add(ports.Member{Addr: n.Endpoint.Addr(), Data: n.Endpoint.Port(), Gossip: gossip, Self: true})
		case n.State == peers.Left || n.State == peers.Dead && !n.Lease.Prefix.IsValid():
		case n.Gossip.Addr() == n.Endpoint.Addr():
			add(ports.Member{Addr: n.Endpoint.Addr(), Data: n.Endpoint.Port(), Gossip: n.Gossip.Port()})
		default:
			add(ports.Member{Addr: n.Endpoint.Addr(), Data: n.Endpoint.Port()})
			add(ports.Member{Addr: n.Gossip.Addr(), Gossip: n.Gossip.Port()})
		}
	}
	for _, p := range static {
		add(ports.Member{Addr: p.Endpoint.Addr(), Data: p.Endpoint.Port()})
	}
	return members
}
