// SPDX-License-Identifier: Apache-2.0

// Package view shows what this node knows and does, in control's types. It only
// reads: commands are the daemon's.
package view

import (
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/host"
	"flanneld/internal/host/underlay"
	"flanneld/internal/monitor"
	"flanneld/internal/plan"
	"flanneld/internal/problem"
	"flanneld/peers"
)

// Config is what a View shows. The functions may be called concurrently.
type Config struct {
	Config   config.Config // static peers that name this host are left out
	Version  string
	Started  time.Time
	MTU      int // of the overlay device
	Snapshot func() *peers.Snapshot
	Here     func() underlay.Underlay
	Routes   *dataplane.Routes
	Totals   *dataplane.Totals
	Problems *problem.Board
	Live     func() Live
	Host     func() Host
	// Check checks the parts that are kept on this host.
	Check func() []host.Finding
	// Unavailable says why this host has not a kernel path, "" where it has.
	// Nil: it has them all.
	Unavailable func(plan.Path) string
	// HostShortcut returns what this host has of the short-cut. Count brings up
	// to date what that has carried. Nil: it has none.
	HostShortcut func() Shortcut
	Count        func()
	// Refused is what the rules of kernel paths have dropped, see
	// control.Status. Nil: there are none.
	Refused func() map[string]control.Traffic
	// Sealing is what the sessions of a sealed network are doing; empty without
	// any. Nil: the network is not sealed.
	Sealing func() dataplane.SealStatus
}

// Live is the data plane and its monitor; both are nil while there is none.
type Live struct {
	Plane   *dataplane.Plane
	Monitor *monitor.Monitor
}

// Host is what the daemon keeps on this host beside the device, and how often
// it had to repair that.
type Host struct {
	Firewall, FirewallNote string // see control.Host
	FirewallRepairs        uint64
	DeviceRepairs          uint64
	Repairs                map[string]uint64 // by part
	ForwardingChanged      bool
	ReadyAfter             time.Duration // from start to READY=1; 0: not ready yet
}

// View answers what the control socket asks. Its methods may be called
// concurrently.
type View struct {
	Config
	prober prober // nil: the present monitor
}

// cfg is what the user has set.
func (v *View) cfg() config.Config { return v.Config.Config }

// New makes a View.
func New(c Config) *View { return &View{Config: c} }
