// SPDX-License-Identifier: Apache-2.0

// Package monitor proves that the data plane of this host carries packets, and
// reports what is in the way.
//
// Five monitors run beside a plane: probes of the paths to peers, probes of
// this host's own device (the mirror), probes from the device to the
// containers' bridge (the crossing), the kernel's routes (the surveyor), and
// packets that are too large for the device. All report to the one list of
// problems.
package monitor

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"flanneld/internal/dataplane"
	"flanneld/internal/host/link"
	"flanneld/internal/host/ruleset"
	"flanneld/internal/plan"
	"flanneld/internal/probe"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// Plane is the data plane that is monitored; *dataplane.Plane is one.
type Plane interface {
	Lease() netip.Prefix
	Network() netip.Prefix
	Link() link.Config
	Inject(packet []byte) error
	Send(to netip.AddrPort, packet []byte) (fits int, err error)
}

// Config is what a Monitor needs. The functions may be called concurrently.
type Config struct {
	Plane    Plane
	Routes   *dataplane.Routes
	Snapshot func() *peers.Snapshot
	Here     func() netip.Addr // this node's underlay address
	Port     uint16            // this node's data port
	Problems *problem.Board
	Rules    *ruleset.Hub // reports changes of packet filter rules
	// Crossed is called after the crossing has changed: a rule came or went,
	// and perhaps without a report of the kernel.
	Crossed func()
	// Kernel is what kernel paths are proven with; nil: none is.
	Kernel *Kernel
	// Replan is called after what Proof says has changed. It must not wait, nor
	// call the Monitor. Nil: nothing is called.
	Replan func()
	Log    *slog.Logger
}

// Monitor watches one data plane. Its methods may be called concurrently.
type Monitor struct {
	cfg      Config
	proofs   *proofs         // of the paths to peers
	pings    pings           // by hand
	mirror   *probe.Prober   // of this host's own device
	crossing *probe.Crossing // from the device to the bridge of containers
	surveyor *surveyor
	troubled atomic.Bool // some data path does not work
}

// parts are the names under which a Monitor reports problems.
var parts = []string{problem.PartPath, problem.PartMirror, problem.PartCrossing, problem.PartRoute, problem.PartSize}

// New makes a Monitor. It probes nothing yet; see Run.
func New(cfg Config) *Monitor {
	m := &Monitor{cfg: cfg}
	m.proofs = newProofs(&m.cfg, m.answers, m.reportPaths)
	m.mirror, m.crossing = m.newMirror(), m.newCrossing()
	m.surveyor = &surveyor{
		log: cfg.Log, network: cfg.Plane.Network(), lease: cfg.Plane.Lease(), device: cfg.Plane.Link().Name, changed: m.reportDetours,
	}
	m.aim()
	return m
}

// Run monitors until ctx ends. Then nothing of this plane is a problem any
// more.
func (m *Monitor) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { m.watchSizes(ctx) })
	all.Go(func() { m.proofs.run(ctx) })
	all.Go(func() { m.mirror.Run(ctx) })
	all.Go(func() { m.cross(ctx) })
	all.Go(func() { m.surveyor.run(ctx) })
	all.Wait()
	for _, part := range parts {
		m.cfg.Problems.Report(part)
	}
}

// Answers reports whether an ICMP message or a TCP reset answers one of the
// probes. It came by user space.
func (m *Monitor) Answers(packet []byte) bool { return m.answers(packet, plan.PathUDP) }

// answers is Answers for a packet that came by a path.
func (m *Monitor) answers(packet []byte, by plan.Path) bool {
	return m.proofs.answer(packet, by) || m.pings.answer(packet, by) || m.mirror.Answer(packet) || m.crossing.Answer(packet)
}

// Update follows a change of routes or of the node table.
func (m *Monitor) Update() {
	m.aim()
	if m.troubled.Load() {
		m.reportPaths()
	}
	if len(m.surveyor.current()) > 0 {
		m.reportDetours()
	}
}

// aim tells the probers what to probe.
func (m *Monitor) aim() {
	m.proofs.aim()
	m.mirror.Aim(m.mirrorTarget())
}

// Proof is what probes say of a path to a node or static peer.
func (m *Monitor) Proof(id string, p plan.Path) plan.Proof { return m.proofs.proof(id, p) }

// Result is what is known of one path to a node or static peer. It may be from
// a time when the path was probed.
func (m *Monitor) Result(id string, p plan.Path) (r probe.Result, known bool) {
	return m.proofs.result(id, p)
}

// Stats is what was sent by each path to prove it, and what came of it, since
// New.
func (m *Monitor) Stats() map[plan.Path]probe.Stats {
	all := make(map[plan.Path]probe.Stats, len(m.proofs.probers))
	for p, prober := range m.proofs.probers {
		if s := prober.Stats(); s.Sent > 0 || p != plan.PathShortcut {
			all[p] = s
		}
	}
	return all
}

// Paths returns, by node ID or static peer, what is known of the path that
// packets take to it. Where they take none, it is the most preferred one.
func (m *Monitor) Paths() map[string]probe.Result {
	all := map[string]probe.Result{}
	for _, r := range m.cfg.Routes.Plan().Routes {
		if !probed(r) {
			continue
		}
		if known, ok := m.proofs.result(r.ID, pathOf(r)); ok {
			all[r.ID] = known
		}
	}
	return all
}

// pathOf is the way that packets take, or would.
func pathOf(r plan.Route) plan.Path {
	if way := r.InUse(); way != "" {
		return way
	}
	for _, c := range r.Candidates {
		if c.Possible {
			return c.Path
		}
	}
	return plan.PathUDP
}

// strangerSource is an overlay address that no node has, from which this host's
// kernel gets probes. Their answers come back here.
func (m *Monitor) strangerSource() (a netip.Addr, free bool) {
	a = m.cfg.Plane.Network().Addr().Next()
	_, _, leased := m.cfg.Routes.Lookup(a)
	return a, !leased
}
