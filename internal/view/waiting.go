// SPDX-License-Identifier: Apache-2.0

package view

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/problem"
)

// Waiting answers on the control socket while there is no node yet: what the
// daemon waits for, and that nothing can be done meanwhile. It is a
// control.Daemon.
type Waiting struct {
	config   config.Config
	name     string
	version  string
	started  time.Time
	problems *problem.Board
	events   func(ctx context.Context, after uint64) control.Events
	reason   atomic.Pointer[string]
}

// NewWaiting makes one. name is the node's. events is as Events of a
// control.Daemon.
func NewWaiting(c config.Config, name, version string, started time.Time, problems *problem.Board, events func(context.Context, uint64) control.Events) *Waiting {
	w := &Waiting{config: c, name: name, version: version, started: started, problems: problems, events: events}
	w.For("starting")
	return w
}

// For notes what is waited for.
func (w *Waiting) For(reason string) { w.reason.Store(&reason) }

func (w *Waiting) refuse() error { return errors.New(*w.reason.Load()) }

// Status says what is waited for.
func (w *Waiting) Status() control.Status {
	c := w.config
	out := control.Status{
		Version: w.version, PID: os.Getpid(), Uptime: control.SecondsOf(time.Since(w.started)),
		Node:     control.NodeName{Name: w.name},
		Network:  control.Network{Prefix: c.Network},
		Lease:    control.Lease{State: "none", Waiting: *w.reason.Load(), PromisedBy: []control.NodeName{}},
		Device:   control.Device{Name: c.Device, State: control.DeviceAbsent},
		Security: securityOf(c, c.KeyFile != ""),
		Lanes:    c.Lanes, Offloads: []control.Offload{},
		Host:      hostOf(c),
		Backend:   control.Backend{Names: []string{}, Paths: []control.BackendPath{}},
		Conflicts: []control.Conflict{}, Readiness: w.Ready(), Metrics: metricsOf(c), Process: process(),
	}
	noCounters(&out)
	judge(&out, nil, w.problems)
	return out
}

// StatusAndNodes is Status and Nodes.
func (w *Waiting) StatusAndNodes() (control.Status, control.Nodes) { return w.Status(), w.Nodes() }

// Ready says what is waited for.
func (w *Waiting) Ready() control.Readiness {
	return control.Readiness{Missing: []string{"no lease yet: " + *w.reason.Load()}}
}

// Nodes has none: the state directory is not open yet.
func (w *Waiting) Nodes() control.Nodes {
	return control.Nodes{Health: w.Status().Health, Nodes: []control.Node{}}
}

// Route says why there is none.
func (w *Waiting) Route(a netip.Addr) control.Route {
	return control.Route{Address: a, Kind: control.RouteNone, Reason: *w.reason.Load(), Paths: []control.NodePath{}, Kernel: []control.KernelRoute{}}
}

// CheckAddress says what is wrong with the address of a node to join.
func (w *Waiting) CheckAddress(address string) error { return config.CheckSeed(address) }

// Join is refused.
func (w *Waiting) Join(context.Context, []string) (control.Joined, error) {
	return control.Joined{}, w.refuse()
}

// Leave is refused.
func (w *Waiting) Leave(context.Context) (control.Left, error) {
	return control.Left{}, w.refuse()
}

// Forget is refused.
func (w *Waiting) Forget(context.Context, string) (control.Node, error) {
	return control.Node{}, w.refuse()
}

// Events returns those that there are by now.
func (w *Waiting) Events(ctx context.Context, after uint64) control.Events {
	return w.events(ctx, after)
}

// Examine is refused.
func (w *Waiting) Examine(context.Context) (control.Examined, error) {
	return control.Examined{}, w.refuse()
}

// Trace is refused.
func (w *Waiting) Trace(context.Context, control.TraceRequest) (control.Traced, error) {
	return control.Traced{}, w.refuse()
}

// Ping is refused.
func (w *Waiting) Ping(context.Context, string, string, int, int) (control.Pinged, error) {
	return control.Pinged{}, w.refuse()
}

// Shortcut is refused.
func (w *Waiting) Shortcut(context.Context, bool) (control.Shortcut, error) {
	return control.Shortcut{}, w.refuse()
}
