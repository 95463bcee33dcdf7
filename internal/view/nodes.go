// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"flanneld/internal/control"
	"flanneld/internal/dataplane"
	"flanneld/internal/plan"
	"flanneld/internal/probe"
	"flanneld/peers"
)

// Nodes returns the node table, the static peers at its end.
func (v *View) Nodes() control.Nodes {
	v.bringUpToDate()
	s, paths := v.Snapshot(), v.paths()
	return v.nodes(s, paths, v.judged(s, paths), v.sealing())
}

// nodes is the node table, with a verdict that is known.
func (v *View) nodes(s *peers.Snapshot, paths map[string]probe.Result, judged control.Status, sessions dataplane.SealStatus) control.Nodes {
	out := control.Nodes{Health: judged.Health, Nodes: []control.Node{}}
	planned := v.Routes.Plan()
	detours, notes, routes := v.detours(), planned.Notes, routesByID(planned)
	arrived := v.arrived()
	changes, _ := v.Routes.PathChanges()
	roamed := v.Routes.Roamed()
	now := time.Now()
	disputes, doubles := disputes(judged.Conflicts), namesakes(s)
	add := func(node control.Node, id string, more ...string) {
		node.Roamed = roamed[id]
		node.Note = joinNotes(append(slices.Clone(detours[id]), append(more, roamedNote(node.Roamed))...)...)
		if r, ok := routes[id]; ok {
			node.Path, node.Paths = pathInUse(r, paths), v.nodePaths(r, arrived)
		}
		node.PathChanges = changes[id]
		if session, ok := sessions.Peers[id]; ok {
			node.Sealed = nodeSealing(session, now)
		}
		v.fillTraffic(&node, id)
		out.Nodes = append(out.Nodes, node)
	}
	for _, n := range s.Nodes {
		node := NodeOf(n)
		node.Conflict = disputes[node.ID]
		add(node, node.ID, notes[node.ID].Text, doubles[n.ID])
	}
	for _, p := range v.cfg().StaticPeers {
		add(control.Node{
			Name: plan.StaticName(p), State: control.StateStatic, Capabilities: []string{}, Paths: []control.NodePath{}, Subnet: p.Subnet, Endpoint: p.Endpoint,
		}, p.String(), notes[p.String()].Text)
	}
	return out
}

// roamedNote says where a node is that is not at its endpoint; zero: it is.
func roamedNote(to netip.AddrPort) string {
	if !to.IsValid() {
		return ""
	}
	return fmt.Sprintf("its packets come from %s and are answered there", to.Addr())
}

// namesakes says, by the IDs of dead nodes that share their name with another
// node, how to strike them out. The name alone does not tell them apart.
func namesakes(s *peers.Snapshot) map[peers.NodeID]string {
	count := map[string]int{}
	for _, n := range s.Nodes {
		count[n.Name]++
	}
	all := map[peers.NodeID]string{}
	for _, n := range s.Nodes {
		if n.State == peers.Dead && count[n.Name] > 1 {
			all[n.ID] = fmt.Sprintf("another node has this name, too: flanneld forget %s strikes this one out", control.NodeName{ID: n.ID.String()}.Text())
		}
	}
	return all
}

// joinNotes puts notes into one line.
func joinNotes(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(note string) bool { return note == "" }), "; ")
}

// disputes says, by node ID, which subnets a node has conflicts about.
func disputes(conflicts []control.Conflict) map[string]string {
	all := map[string]string{}
	for _, c := range conflicts {
		all[c.Winner.ID] = joinNotes(all[c.Winner.ID], fmt.Sprintf("%s is claimed by %s, too", c.Subnet, c.Loser.Name))
		if c.Loser.ID != "" {
			all[c.Loser.ID] = joinNotes(all[c.Loser.ID], fmt.Sprintf("%s is %s's", c.Subnet, c.Winner.Name))
		}
	}
	return all
}

// NodeOf is a node as `nodes` shows it, as far as the node table knows it.
func NodeOf(n peers.NodeInfo) control.Node {
	return control.Node{
		ID: n.ID.String(), Name: n.Name, State: n.State.String(), Since: control.SecondsOf(n.Since), Self: n.Self,
		Subnet: n.Lease.Prefix, Epoch: n.Lease.Epoch, Pinned: n.Lease.Pinned, Electors: n.Lease.Electors, Promises: n.Lease.Promises,
		LeaseAge: control.SecondsOf(n.Lease.Held), Endpoint: n.Endpoint, Gossip: n.Gossip,
		MTU: n.MTU, RTT: control.SecondsOf(n.RTT), Start: n.Start, Capabilities: capabilities(n.Caps), Paths: []control.NodePath{},
	}
}

func capabilities(caps []peers.Capability) []string {
	names := make([]string, len(caps))
	for i, c := range caps {
		names[i] = plan.CapabilityName(c)
	}
	return names
}

// fillTraffic adds what the forwarder knows of a node.
func (v *View) fillTraffic(n *control.Node, key string) {
	p := v.Routes.Peer(key)
	if p == nil {
		return
	}
	egress, ingress := p.Traffic()
	n.Egress, n.Ingress, n.PathMTU, n.Stray = control.Traffic(egress), control.Traffic(ingress), p.PathMTU(), p.Stray()
}
