package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host/bridge"
	"flanneld/internal/host/link"
	"flanneld/internal/plan"
	"flanneld/peers"
	"flanneld/route"
)

// What the control socket shows. Called from several goroutines.

// Status describes this node.
func (d *daemon) Status() control.Status {
	s, u := d.node.Snapshot(), d.watch.Here()
	out := control.Status{
		Version: d.version, PID: os.Getpid(), Uptime: control.SecondsOf(time.Since(d.started)),
		Node: control.NodeName{ID: s.Self.ID, Name: s.Self.Name},
		Network: control.Network{
			ID: s.Network.ID, Prefix: s.Network.Prefix, SubnetLen: s.Network.SubnetLen,
			SubnetMin: s.Network.SubnetMin, SubnetMax: s.Network.SubnetMax,
		},
		Lease: leaseOf(s),
		Underlay: control.Underlay{
			Interface: u.Interface, Address: u.Addr, PublicAddress: u.PublicAddr, MTU: u.MTU,
		},
		Endpoint: netip.AddrPortFrom(u.PublicAddr, d.cfg.Port),
		Gossip:   netip.AddrPortFrom(u.PublicAddr, d.cfg.GossipPort),
		Security: security(s.Sealed),
		Lanes:    d.cfg.Lanes, Offloads: []control.Offload{},
		Members:   members(s, d.cfg.StaticPeers),
		Conflicts: conflicts(s, d.cfg.StaticPeers),
		Paths:     d.pathCounts(),
		Process:   process(),
	}
	d.fillLive(&out)
	d.reportState(s)
	d.judge(&out)
	return out
}

// leaseOf is this node's own lease and, while it asks for one, its claim.
func leaseOf(s *peers.Snapshot) control.Lease {
	own, known := s.Self.Lease, acquaint(s)
	l := control.Lease{
		State: s.Lease.String(), Waiting: s.Waiting, Subnet: own.Prefix, Epoch: own.Epoch, Pinned: own.Pinned,
		Electors: own.Electors, Promises: own.Promises, PromisedBy: known.names(s.PromisedBy), Age: control.SecondsOf(own.Held),
	}
	if c := s.Claim; c != nil {
		l.Claim = &control.Claim{
			Subnet: c.Prefix, Epoch: c.Epoch, Electors: c.Electors, Needed: c.Needed, Answered: c.Electors - len(c.Missing),
			PromisedBy: known.names(c.Promised), Missing: known.missing(c.Missing),
		}
	}
	return l
}

// roll finds nodes by their IDs.
type roll map[string]peers.NodeInfo

func acquaint(s *peers.Snapshot) roll {
	r := roll{}
	for _, n := range s.Nodes {
		r[n.ID] = n
	}
	return r
}

func (r roll) name(id string) control.NodeName { return control.NodeName{ID: id, Name: r[id].Name} }

func (r roll) names(ids []string) []control.NodeName {
	names := make([]control.NodeName, len(ids))
	for i, id := range ids {
		names[i] = r.name(id)
	}
	return names
}

func (r roll) missing(ids []string) []control.Missing {
	all := make([]control.Missing, len(ids))
	for i, id := range ids {
		all[i] = control.Missing{NodeName: r.name(id), State: r[id].State.String(), Since: control.SecondsOf(r[id].Since)}
	}
	return all
}

// fillLive adds what changes with the plane.
func (d *daemon) fillLive(out *control.Status) {
	d.mu.Lock()
	p, sum, g, ready := d.plane, d.totals.with(route.Counters{}), d.guard.state(), d.ready
	if p != nil {
		sum = d.totals.with(p.forwarder.Stats())
	}
	d.mu.Unlock()
	out.Egress, out.Ingress, out.Drops = sum.egress, sum.ingress, sum.drops
	out.Device = control.Device{Name: d.cfg.Device, State: control.DeviceAbsent, MTU: d.mtu}
	out.Host = control.Host{
		IPForward: ipForward(), Masquerade: d.cfg.IPMasq, SubnetFile: d.cfg.SubnetPath(), DockerFile: d.cfg.DockerPath(),
		IPForwardChanged: g.forwardingChanged, FirewallRepairs: g.firewallRepairs, DeviceRepairs: g.deviceRepairs,
		ReadyAfter: control.SecondsOf(ready),
	}
	if p == nil {
		return
	}
	out.Host.Firewall, out.Host.FirewallNote = g.firewall, g.firewallNote
	if found, err := bridge.List(); err == nil {
		out.Host.StrayBridge = bridge.Stray(found, p.network, p.lease)
	}
	out.Offloads = p.offloads()
	out.Device.Address = p.link.Addr
	out.Device.State, out.Device.Note = deviceState(p.link)
}

// deviceState looks at the device as it is now.
func deviceState(c link.Config) (state, note string) {
	wrong, err := link.Check(c)
	switch {
	case errors.Is(err, link.ErrNoDevice):
		return control.DeviceAbsent, "deleted by somebody"
	case err != nil:
		return control.DeviceBroken, err.Error()
	case len(wrong) > 0:
		return control.DeviceBroken, strings.Join(wrong, "; ")
	}
	return control.DeviceUp, ""
}

func ipForward() bool {
	content, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	return err == nil && strings.TrimSpace(string(content)) == "1"
}

func security(sealed bool) control.Security {
	note := "any root process on a member host can send packets in that host's name, and any host of the underlay can read them and join; for a trusted network"
	if sealed {
		note = "gossip needs the cluster key; packets travel in the clear, and any root process on a member host can send some in that host's name; for a trusted network"
	}
	return control.Security{GossipSealed: sealed, Note: note}
}

func members(s *peers.Snapshot, static []config.StaticPeer) control.Members {
	m := control.Members{Static: len(static)}
	for _, n := range s.Nodes {
		switch n.State {
		case peers.Alive:
			m.Alive++
		case peers.Suspect:
			m.Suspect++
		case peers.Dead:
			m.Dead++
		case peers.Left:
			m.Left++
		}
	}
	return m
}

// conflicts lists those between nodes, and those between a node and a static
// peer, which only this node knows of.
func conflicts(s *peers.Snapshot, static []config.StaticPeer) []control.Conflict {
	name := acquaint(s).name
	out := []control.Conflict{}
	for _, c := range s.Conflicts {
		out = append(out, control.Conflict{Subnet: c.Prefix, Winner: name(c.Winner), Loser: name(c.Loser), Since: control.SecondsOf(c.Since)})
	}
	for _, p := range static {
		for _, n := range s.Nodes {
			if n.Lease.Prefix.IsValid() && n.Lease.Prefix.Overlaps(p.Subnet) && n.State != peers.Left && !plan.SameHost(n, p) {
				out = append(out, control.Conflict{
					Subnet: p.Subnet, Winner: name(n.ID), Loser: control.NodeName{Name: plan.StaticName(p)}, Note: "given with --static-peer " + p.String()})
			}
		}
	}
	return out
}

func process() control.Process {
	descriptors, memory := usage()
	return control.Process{Goroutines: runtime.NumGoroutine(), Descriptors: descriptors, Memory: memory}
}

// Nodes returns the node table, the static peers at its end.
func (d *daemon) Nodes() control.Nodes {
	out := control.Nodes{Health: d.Status().Health, Nodes: []control.Node{}}
	s, paths, doubles := d.node.Snapshot(), d.pathResults(), namesakes(d.node.Snapshot())
	d.mu.Lock()
	defer d.mu.Unlock()
	disputes, detours, notes := disputes(conflicts(s, d.cfg.StaticPeers)), d.detourNotes(), d.routing.current().Notes
	for _, n := range s.Nodes {
		node := nodeOf(n)
		node.Conflict = disputes[n.ID]
		node.Note = joinNotes(detours[n.ID], notes[n.ID].Text, doubles[n.ID])
		if r, probed := paths[n.ID]; probed {
			node.Path = pathOf(r)
		}
		d.fillTraffic(&node, n.ID)
		out.Nodes = append(out.Nodes, node)
	}
	for _, p := range d.cfg.StaticPeers {
		node := control.Node{Name: plan.StaticName(p), State: control.StateStatic, Subnet: p.Subnet, Endpoint: p.Endpoint, Note: joinNotes(detours[p.String()], notes[p.String()].Text)}
		if r, probed := paths[p.String()]; probed {
			node.Path = pathOf(r)
		}
		d.fillTraffic(&node, p.String())
		out.Nodes = append(out.Nodes, node)
	}
	return out
}

// namesakes says, by the IDs of dead nodes that share their name with another
// node, how to strike them out. The name alone does not tell them apart.
func namesakes(s *peers.Snapshot) map[string]string {
	count := map[string]int{}
	for _, n := range s.Nodes {
		count[n.Name]++
	}
	all := map[string]string{}
	for _, n := range s.Nodes {
		if n.State == peers.Dead && count[n.Name] > 1 {
			all[n.ID] = fmt.Sprintf("another node has this name, too: flanneld forget %s strikes this one out", control.NodeName{ID: n.ID}.Text())
		}
	}
	return all
}

// joinNotes puts notes into one line.
func joinNotes(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(note string) bool { return note == "" }), "; ")
}

// disputes says, by node ID, which subnet a node has a conflict about.
func disputes(conflicts []control.Conflict) map[string]string {
	all := map[string]string{}
	for _, c := range conflicts {
		all[c.Winner.ID] = fmt.Sprintf("%s is claimed by %s, too", c.Subnet, c.Loser.Name)
		if c.Loser.ID != "" {
			all[c.Loser.ID] = fmt.Sprintf("%s is %s's", c.Subnet, c.Winner.Name)
		}
	}
	return all
}

func nodeOf(n peers.NodeInfo) control.Node {
	return control.Node{
		ID: n.ID, Name: n.Name, State: n.State.String(), Since: control.SecondsOf(n.Since), Self: n.Self,
		Subnet: n.Lease.Prefix, Epoch: n.Lease.Epoch, Pinned: n.Lease.Pinned, Electors: n.Lease.Electors, Promises: n.Lease.Promises,
		LeaseAge: control.SecondsOf(n.Lease.Held), Endpoint: n.Endpoint, Gossip: n.Gossip,
		MTU: n.MTU, RTT: control.SecondsOf(n.RTT), Start: n.Start,
	}
}

// fillTraffic adds what the forwarder knows of a node.
func (d *daemon) fillTraffic(n *control.Node, id string) {
	p := d.routing.peer(id)
	if p == nil {
		return
	}
	egress, ingress := p.Traffic()
	n.Egress, n.Ingress, n.PathMTU = trafficOf(egress), trafficOf(ingress), p.PathMTU()
}

// Route returns the next hop of an address as the next batch would use it, and
// where the kernel sends packets to it.
func (d *daemon) Route(a netip.Addr) control.Route {
	out := d.nextHop(a)
	out.Kernel = []control.KernelRoute{}
	if a.Is4() {
		out.Kernel = d.kernelRoutes(a, out.Kind != control.RouteOutside && out.Kind != control.RouteLocal)
	}
	return out
}

// nextHop is Route without the kernel's answers.
func (d *daemon) nextHop(a netip.Addr) control.Route {
	s := d.node.Snapshot()
	out := control.Route{Address: a, Kind: control.RouteOutside}
	switch {
	case !s.Network.Prefix.IsValid():
		out.Reason = "the network is not known yet: " + s.Waiting
		return out
	case !s.Network.Prefix.Contains(a):
		out.Reason = fmt.Sprintf("not in the network %s: the host's own routing decides", s.Network.Prefix)
		return out
	}
	next, planned, ok := d.routing.lookup(a)
	if !ok {
		out.Kind = control.RouteNone
		out.Reason = "no node holds a subnet with this address: packets are answered with ICMP net unreachable"
		return out
	}
	d.explain(&out, next, planned)
	return out
}

// explain says why the table has a next hop.
func (d *daemon) explain(out *control.Route, next route.NextHop, planned plan.Route) {
	out.Prefix, out.Kind, out.Endpoint, out.MTU = next.Prefix, next.Kind.String(), next.Endpoint, d.mtu
	out.Node, out.State, out.Reason = control.NodeName{ID: planned.ID, Name: planned.Name}, planned.State.String(), planned.Why
	if planned.Static {
		out.Node.ID, out.State = "", control.StateStatic
	}
	if next.Kind == route.Local {
		return
	}
	if planned.MTU > 0 {
		out.MTU = min(out.MTU, planned.MTU)
	}
	if path := next.Peer.PathMTU(); path > 0 {
		out.MTU = min(out.MTU, path)
	}
}
