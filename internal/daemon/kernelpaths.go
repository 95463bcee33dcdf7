// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"fmt"
	"net/netip"
	"slices"

	"flanneld/internal/config"
	"flanneld/internal/control"
	"flanneld/internal/host/kernelpath"
	"flanneld/internal/host/link"
	"flanneld/internal/host/pathrules"
	"flanneld/internal/monitor"
	"flanneld/internal/plan"
	"flanneld/peers"
	"flanneld/route"
)

// pathConfig is this host's end of the kernel paths. Without any in the backend
// list it has no device, and what an earlier start left is removed.
func (d *daemon) pathConfig(lease, network netip.Prefix) kernelpath.Config {
	u, self := d.watch.Here(), d.node.Snapshot().Self
	c := kernelpath.Config{
		Network: network, Lease: lease, Underlay: u.Interface, Local: u.Addr, MTU: d.mtu, Alias: link.AliasPrefix + " " + self.ID.String(),
	}
	if d.loopback {
		c.Underlay = "" // the kernel reaches no other host by it
		return c
	}
	if d.takes(config.PathVXLAN) {
		v := d.vxlan()
		c.VXLAN = &kernelpath.VXLAN{Name: v.device(), VNI: v.vni, Port: v.port, MAC: plan.MACOf(self.ID)}
	}
	if d.takes(config.PathIPIP) {
		c.IPIP = &kernelpath.IPIP{Name: config.IPIPDevice}
	}
	return c
}

// pathRules is which of the kernel paths have to be checked here.
func (d *daemon) pathRules(c kernelpath.Config) pathrules.Config {
	rules := pathrules.Config{Network: c.Network, Local: c.Local, Underlay: c.Underlay, Direct: d.direct()}
	if c.VXLAN != nil {
		rules.VXLAN, rules.VXLANDevice, rules.VXLANPort, rules.VNI = true, c.VXLAN.Name, c.VXLAN.Port, c.VXLAN.VNI
	}
	if c.IPIP != nil {
		rules.IPIP, rules.IPIPDevice = true, c.IPIP.Name
	}
	return rules
}

// direct reports whether packets may come and go without a tunnel.
func (d *daemon) direct() bool { return d.takes(config.PathDirect) && !d.loopback }

// takes reports whether packets may come by a kernel path: one of the backend
// list, or for some seconds one of an earlier start.
func (d *daemon) takes(p plan.Path) bool {
	return d.cfg.Uses(p) || slices.Contains(d.inherited.former, p)
}

// tunnels names the devices of the kernel paths.
func tunnels(c kernelpath.Config) (names []string) {
	if c.VXLAN != nil {
		names = append(names, c.VXLAN.Name)
	}
	if c.IPIP != nil {
		names = append(names, c.IPIP.Name)
	}
	return names
}

// pathUnavailable says why this host has not a kernel path, "" where it has.
func (d *daemon) pathUnavailable(p plan.Path) string {
	if u := d.watch.Here(); p == plan.PathDirect && u.PublicAddr != u.Addr {
		return fmt.Sprintf("this node announces %s, which is not the address of %s (--public-ip)", u.PublicAddr, u.Interface)
	}
	if !p.Kernel() || d.planes.current() == nil {
		return "" // not known yet
	}
	if why := d.parts.PathRules.Unavailable(); why != "" {
		return why
	}
	return d.parts.Paths.Unavailable(string(p))
}

// kernelPossible reports whether the kernel can ever carry packets, by a kernel
// path or by the short-cut. The loopback interface leads to no other host, and
// packets of a sealed network would travel in the clear.
func (d *daemon) kernelPossible() bool { return !d.loopback && !d.cfg.Sealed }

// pathsKernel is what kernel paths and the short-cut are proven with, nil
// without any.
func (d *daemon) pathsKernel(c kernelpath.Config) *monitor.Kernel {
	if !d.kernelPossible() {
		return nil
	}
	k := &monitor.Kernel{Shortcut: d.shortcutProbes()}
	if slices.ContainsFunc(d.cfg.Backend, config.Path.Kernel) {
		k.SetChecksumOffload = func(p plan.Path, on bool) error { return d.parts.Paths.SetChecksumOffload(on) }
		k.Traffic = d.pathTraffic
	}
	if c.VXLAN != nil {
		k.VXLAN = d.parts.Paths.VXLANDevice
	}
	if c.IPIP != nil {
		k.IPIP = c.IPIP.Name
	}
	if d.direct() {
		k.Underlay = func() string { return d.watch.Here().Interface }
	}
	return k
}

// pathTraffic counts what has come by kernel paths, and what was sent.
func (d *daemon) pathTraffic() (arrived map[monitor.TrafficKey]monitor.Traffic, sent map[netip.Prefix]monitor.Traffic) {
	in, out := d.parts.PathRules.Traffic()
	if in == nil {
		return nil, nil
	}
	arrived, sent = make(map[monitor.TrafficKey]monitor.Traffic, len(in)), make(map[netip.Prefix]monitor.Traffic, len(out))
	for key, n := range in {
		arrived[monitor.TrafficKey{Path: plan.Path(key.Path), Lease: key.Prefix}] = monitor.Traffic(n)
	}
	for prefix, n := range out {
		sent[prefix] = monitor.Traffic(n)
	}
	return arrived, sent
}

// pathsRefused counts what the rules of kernel paths have dropped.
func (d *daemon) pathsRefused() map[string]control.Traffic {
	counts := map[string]control.Traffic{}
	for name, n := range d.parts.PathRules.Refused() {
		counts[name] = control.Traffic(n)
	}
	return counts
}

// capabilities are what this node announces that it takes. unavailable is as in
// [plan.Input].
func (d *daemon) capabilities(unavailable func(plan.Path) string) []peers.Capability {
	all := plan.Announced(d.inherited.announced(d.backend()), d.vxlan().port, d.vxlan().vni, unavailable)
	if d.cfg.Sealed {
		all = append(all, plan.AnnouncedSuites(d.suites()))
	}
	return append(all, d.shortcutCapability()...)
}

// pathsChanged follows a change of the kernel paths that this host has.
func (d *daemon) pathsChanged() error {
	d.announcePaths()
	return d.route(d.node.Snapshot())
}

// announcePaths announces the kernel paths that this host has by now.
func (d *daemon) announcePaths() {
	if err := d.node.SetCaps(d.capabilities(d.pathUnavailable)); err != nil {
		d.log.Debug("the kernel paths of this host are not announced", "error", err)
	}
}

// planInput is what the plan is made from now.
func (d *daemon) planInput(s *peers.Snapshot) plan.Input {
	var shortcut func() string
	if d.shortcuts.on.Load() {
		shortcut = d.shortcutLack
	}
	return plan.Input{
		Shortcut: shortcut, Sealed: d.cfg.Sealed, Switched: d.shortcutSwitched(),
		Snapshot: s, Static: d.cfg.StaticPeers, Loopback: d.loopback, Unseen: d.seen.Unseen,
		Backend: d.backend(), Former: d.inherited.former, VNI: d.vxlan().vni,
		Unavailable: d.pathUnavailable, Near: d.parts.Paths.Near, Proof: d.planes.proof,
	}
}

// reach puts the kernel paths of a plan into effect: first what may come in by
// them, then what goes out.
//
// Without a data plane nothing is touched: what an earlier start has left is
// still in use.
func (d *daemon) reach(p plan.Plan) {
	now := d.planes.current()
	if now == nil {
		return
	}
	var peers []kernelpath.Peer
	for _, r := range p.Routes {
		if reachable(r) {
			peers = append(peers, d.pathPeer(r))
		}
	}
	d.guard.ProtectPaths(&now.rules, d.senders(p))
	d.guard.Reach(peers)
	d.tellShortcut(p)
}

// reachable reports whether a kernel path may lead to a peer.
func reachable(r plan.Route) bool { return r.Kind != route.Local && len(r.Candidates) > 0 }

// senders is what the peers of a plan may send by kernel paths.
func (d *daemon) senders(p plan.Plan) (all []pathrules.Peer) {
	for _, r := range p.Routes {
		if len(r.Arrivals) > 0 {
			all = append(all, d.sender(r))
		}
	}
	return all
}

// sendersNow is senders by what the node knows at this moment. The plan of the
// routes can be older: a daemon that has just started, or that stops, has not
// seen each member in it yet, and the packets of that member would be dropped.
func (d *daemon) sendersNow() []pathrules.Peer {
	return d.senders(plan.Make(d.planInput(d.node.Snapshot())))
}

// pathPeer is a peer's end of the kernel paths.
func (d *daemon) pathPeer(r plan.Route) kernelpath.Peer {
	peer := kernelpath.Peer{Prefix: r.Prefix, Endpoint: r.Endpoint.Addr(), MTU: r.MTU}
	old := d.inherited.routes[r.Prefix]
	switch {
	case r.Path != "" && r.Path.Kernel():
		peer.Path = string(r.Path)
	case old != "" && (r.Undecided(old) || d.inherited.carries(old, r)):
		peer.Path = string(old)
	}
	if c, ok := r.Candidate(plan.PathVXLAN); ok && c.Possible {
		peer.VXLAN, peer.MAC, peer.Port = true, c.MAC, c.Port
	} else if a, ok := r.Arrival(plan.PathVXLAN); ok && peer.Path == string(plan.PathVXLAN) {
		peer.VXLAN, peer.MAC, peer.Port = true, plan.MACOf(r.Node), a.Port
	}
	return peer
}

// sender is what a peer may send by kernel paths.
func (d *daemon) sender(r plan.Route) pathrules.Peer {
	s := pathrules.Peer{Prefix: r.Prefix, Endpoint: r.Endpoint.Addr()}
	for _, a := range r.Arrivals {
		switch a.Path {
		case plan.PathVXLAN:
			s.VXLAN, s.Port = true, a.Port
		case plan.PathIPIP:
			s.IPIP = true
		case plan.PathDirect:
			s.Direct = true
			if _, mac, why := d.parts.Paths.Near(s.Endpoint); why == "" {
				s.MAC = mac
			}
		}
	}
	return s
}
