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
	Log     *slog.Logger
}

// Monitor watches one data plane. Its methods may be called concurrently.
type Monitor struct {
	cfg      Config
	prober   *probe.Prober   // of the paths to peers
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
	m.prober, m.mirror, m.crossing = m.newProber(), m.newMirror(), m.newCrossing()
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
	all.Go(func() { m.prober.Run(ctx) })
	all.Go(func() { m.mirror.Run(ctx) })
	all.Go(func() { m.cross(ctx) })
	all.Go(func() { m.surveyor.run(ctx) })
	all.Wait()
	for _, part := range parts {
		m.cfg.Problems.Report(part)
	}
}

// Answers reports whether an ICMP packet answers one of the probes.
func (m *Monitor) Answers(packet []byte) bool {
	return m.prober.Answer(packet) || m.mirror.Answer(packet) || m.crossing.Answer(packet)
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
	m.prober.Aim(m.targets())
	m.mirror.Aim(m.mirrorTarget())
}

// Paths returns what is known of the data paths, by node ID or static peer.
func (m *Monitor) Paths() map[string]probe.Result { return m.prober.Results() }

// strangerSource is an overlay address that no node has, from which this host's
// kernel gets probes. Their answers come back here.
func (m *Monitor) strangerSource() (a netip.Addr, free bool) {
	a = m.cfg.Plane.Network().Addr().Next()
	_, _, leased := m.cfg.Routes.Lookup(a)
	return a, !leased
}
