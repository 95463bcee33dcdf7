// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"fmt"
	"slices"

	"flanneld/internal/config"
	"flanneld/peers"
	"flanneld/route"
)

// StaticName is what people see of a static peer: such a host announces no
// name.
func StaticName(s config.StaticPeer) string { return s.Endpoint.Addr().String() }

// SameHost reports whether a node is the host that a static peer stands for.
func SameHost(n peers.NodeInfo, s config.StaticPeer) bool {
	return n.Endpoint.Addr() == s.Endpoint.Addr() && n.Lease.Prefix.Overlaps(s.Subnet)
}

func compareStatic(a, b config.StaticPeer) int {
	return cmp.Or(a.Subnet.Compare(b.Subnet), a.Endpoint.Compare(b.Endpoint))
}

// addStatic plans the route to a static peer, after those to all nodes.
func (p *Plan) addStatic(snapshot *peers.Snapshot, s config.StaticPeer, rules EndpointRules, paths *candidates) {
	if name, in := p.movedIn(snapshot, s); in {
		p.Notes[s.String()] = Note{Text: "not used: a member now, " + name, Expected: true}
		return
	}
	if reason := p.misfit(s, rules); reason != "" {
		p.Notes[s.String()] = Note{Text: reason}
		return
	}
	r := Route{
		Prefix: s.Subnet, Kind: route.Via, ID: s.String(), Name: StaticName(s),
		Endpoint: s.Endpoint, Live: true, Why: "given with --static-peer",
	}
	p.choosePath(&r, paths.toStatic(s, r.ID), true)
	if one := r.Candidates[0]; one.Path.Kernel() && slices.Contains(paths.backend, one.Path) && one.Endpoint != paths.own {
		r.Arrivals = []Arrival{{Path: one.Path, Port: one.Port}}
	}
	p.Routes = append(p.Routes, r)
}

// movedIn finds the routed node that a static peer's host has become.
func (p *Plan) movedIn(snapshot *peers.Snapshot, s config.StaticPeer) (name string, in bool) {
	for _, n := range snapshot.Nodes {
		if !n.Self && SameHost(n, s) && slices.ContainsFunc(p.Routes, func(r Route) bool { return r.Node == n.ID }) {
			return n.Name, true
		}
	}
	return "", false
}

// misfit says why a static peer cannot be used, "" when it can.
func (p *Plan) misfit(s config.StaticPeer, rules EndpointRules) string {
	for _, r := range p.Routes {
		if r.Prefix.Overlaps(s.Subnet) {
			return fmt.Sprintf("not used: %s holds %s", r.Name, r.Prefix)
		}
	}
	if s.Way().Kernel() {
		return rules.refuseHost(s.Endpoint.Addr(), s.Endpoint.Addr().String())
	}
	return rules.Refuse(s.Endpoint)
}

// backAsStatic finds the static peer that a dead node may have become again.
func backAsStatic(n peers.NodeInfo, static []config.StaticPeer) (config.StaticPeer, bool) {
	if n.State == peers.Dead && !n.Self {
		for _, s := range static {
			if SameHost(n, s) {
				return s, true
			}
		}
	}
	return config.StaticPeer{}, false
}
