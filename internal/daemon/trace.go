// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"flanneld/internal/control"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/fib"
	"flanneld/internal/host/tap"
	"flanneld/internal/problem"
	"flanneld/internal/trace"
)

// Trace follows packets from a bridge of this host to an overlay address. One
// trace runs at a time.
func (a api) Trace(ctx context.Context, r control.TraceRequest) (control.Traced, error) {
	if !a.tracing.TryLock() {
		return control.Traced{}, errors.New("another trace runs: try again in some seconds")
	}
	defer a.tracing.Unlock()
	p := a.planes.current()
	if p == nil {
		return control.Traced{}, errors.New("there is no data plane yet: see flanneld status")
	}
	next := a.Route(r.Address)
	switch next.Kind {
	case control.RouteOutside:
		return control.Traced{}, fmt.Errorf("%s is %s", r.Address, next.Reason)
	case control.RouteLocal:
		return control.Traced{}, fmt.Errorf("%s is in the lease of this host, %s: packets to it stay on its bridge", r.Address, p.Lease())
	}
	from, own, err := traceBridge(p.Lease(), r.Bridge)
	if err != nil {
		return control.Traced{}, err
	}
	port, err := tap.Open(from.Name)
	if err != nil {
		return control.Traced{}, err
	}
	question := trace.Question{ID: trace.NewID(), To: r.Address}
	before := a.askSight(ctx, next.Node, question)
	result, err := trace.Run(ctx, trace.Config{
		Port: port, MAC: port.MAC, Gateway: own.Addr(), Sources: traceSources(own), To: r.Address, ID: question.ID,
	})
	if err != nil {
		return control.Traced{}, fmt.Errorf("bridge %s: %w", from.Name, err)
	}
	ground := trace.Ground{
		Bridge: from.Name, Gateway: own.Addr(), Lease: p.Lease(), Device: p.Link().Name, To: r.Address, Node: next.Node.Text(), Name: cmp.Or(next.Node.Name, next.Node.ID), Path: next.Path, Reason: next.Reason,
	}
	ground.Shortcut = slices.ContainsFunc(next.Paths, func(p control.NodePath) bool { return p.Used && p.Shortcut.Used })
	if before != nil {
		ground.Sight = a.askSight(ctx, next.Node, question)
	}
	return a.traced(next, ground, result), nil
}

// traced shows what a trace has found.
func (a api) traced(next control.Route, g trace.Ground, r trace.Result) control.Traced {
	story := g.Tell(r)
	out := control.Traced{
		Address: g.To, From: r.From, Bridge: g.Bridge, Node: next.Node, Path: next.Path, Arrived: story.Arrived,
		LastSeen: control.TraceStations[story.Last], Verdict: story.Verdict, Advice: story.Advice, Hints: []control.Problem{},
	}
	for _, s := range story.Stations {
		out.Stations = append(out.Stations, control.TraceStation{
			Name: control.TraceStations[s.Place], Text: s.Text, Proven: s.Proven, RTT: control.SecondsOf(s.After),
		})
	}
	if story.Arrived {
		return out
	}
	for _, p := range a.Status().Problems {
		if hints(p, story.Last, g.Node) {
			out.Hints = append(out.Hints, p)
		}
	}
	return out
}

// hints reports whether a problem of this node can be why a packet is lost
// behind a station.
func hints(p control.Problem, last trace.Place, node string) bool {
	if last <= trace.Kernel && slices.Contains([]string{
		problem.PartForwarding, problem.PartFirewall, problem.PartRules, problem.PartRoute, problem.PartBridge, problem.PartDevice,
	}, p.Part) {
		return true
	}
	return node != "" && strings.Contains(p.Text, node)
}

// traceBridge finds a bridge, and its address of the lease.
func traceBridge(lease netip.Prefix, name string) (bridge.Bridge, netip.Prefix, error) {
	found, err := bridge.List()
	if err != nil {
		return bridge.Bridge{}, netip.Prefix{}, err
	}
	for _, b := range found {
		for _, own := range b.Addrs {
			if (name == "" || b.Name == name) && lease.Contains(own.Addr()) {
				return b, own, nil
			}
		}
	}
	if name != "" {
		return bridge.Bridge{}, netip.Prefix{}, fmt.Errorf("no bridge %s has an address of the lease %s: see ip address", name, lease)
	}
	return bridge.Bridge{}, netip.Prefix{}, fmt.Errorf("no bridge has an address of the lease %s: start a container runtime with it first (systemctl restart docker)", lease)
}

// traceTries is how many addresses are tried as the source.
const traceTries = 5

// traceSources are addresses at the end of a bridge's subnet: runtimes give
// them out last.
func traceSources(own netip.Prefix) (all []netip.Addr) {
	for a := fib.Last(own.Masked()).Prev(); len(all) < traceTries && a != own.Masked().Addr(); a = a.Prev() {
		if a != own.Addr() {
			all = append(all, a)
		}
	}
	return all
}
