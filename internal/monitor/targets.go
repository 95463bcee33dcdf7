// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"errors"
	"net/netip"

	"flanneld/internal/host/packetsocket"
	"flanneld/internal/plan"
	"flanneld/internal/probe"
	"flanneld/internal/proof"
	"flanneld/peers"
	"flanneld/route"
)

// probed reports whether a route leads to a peer that may answer: one that is
// alive, also while no path leads to it, or one that a kernel path leads to.
func probed(r plan.Route) bool {
	return r.Kind != route.Local && r.Endpoint.Addr().IsValid() && (r.Live || r.Path != "" && r.Path.Kernel())
}

// routes lists the routes of the present plan to peers that may answer. A plan
// does not change.
func (s *proofs) routes() (all []*plan.Route) {
	present := s.cfg.Routes.Plan()
	for i := range present.Routes {
		if r := &present.Routes[i]; probed(*r) {
			all = append(all, r)
		}
	}
	return all
}

// wayBy is one of the ways; not ok: the path is none.
func wayBy(r plan.Route, path plan.Path) (c plan.Candidate, ok bool) {
	for _, c := range r.Ways() {
		if c.Path == path {
			return c, true
		}
	}
	return c, false
}

// worth reports whether a path is worth a try.
func (s *proofs) worth(c plan.Candidate) bool {
	return c.Possible && (!c.Path.Kernel() || s.reaches(c))
}

// reaches reports whether probes can be sent by a kernel path: its device and
// the neighbor on a direct path are known.
func (s *proofs) reaches(c plan.Candidate) bool {
	return s.kernel != nil && s.kernel.device(c.Path) != "" && (c.Path != plan.PathDirect || c.MAC != nil)
}

// peers lists the peers with the paths that are worth a try.
func (s *proofs) peers(routes []*plan.Route) []proof.Peer {
	all := make([]proof.Peer, 0, len(routes))
	for _, r := range routes {
		p := proof.Peer{ID: r.ID, Ways: make([]proof.Way, 0, len(r.Candidates))}
		for _, c := range r.Ways() {
			if s.worth(c) {
				p.Ways = append(p.Ways, proof.Way{Path: c.Path, Key: s.key(r, c), Checksums: checksums(c.Path)})
			}
		}
		all = append(all, p)
	}
	return all
}

// key is what a path stands on. It is compared, not read.
func (s *proofs) key(r *plan.Route, c plan.Candidate) string {
	b := r.Prefix.AppendTo(make([]byte, 0, 128))
	if !c.Path.Kernel() {
		return string(r.Endpoint.AppendTo(b))
	}
	b = s.cfg.Here().AppendTo(append(b, s.kernel.device(c.Path)...))
	b = netip.AddrPortFrom(c.Endpoint, c.Port).AppendTo(append(b, ' '))
	return string(append(b, c.MAC...))
}

// aimAll tells each prober what the book says.
func (s *proofs) aimAll(routes []*plan.Route) {
	s.planned = make(map[string]*plan.Route, len(routes))
	for _, r := range routes {
		s.planned[r.ID] = r
	}
	s.book.Moved() // all are told
	targets := s.targets(routes)
	for p, prober := range s.probers {
		prober.Aim(targets[p])
	}
}

// aimMoved tells the probers what has changed in the book.
func (s *proofs) aimMoved() {
	for _, id := range s.book.Moved() {
		wanted := map[plan.Path]probe.Target{}
		if r, ok := s.planned[id]; ok {
			s.aimAt(r, func(p plan.Path, t probe.Target) { wanted[p] = t })
		}
		for p, prober := range s.probers {
			if t, ok := wanted[p]; ok {
				prober.Put(t)
			} else {
				prober.Drop(id)
			}
		}
	}
}

// targets lists what the book says is to be probed, by path.
func (s *proofs) targets(routes []*plan.Route) map[plan.Path][]probe.Target {
	targets := map[plan.Path][]probe.Target{}
	for _, r := range routes {
		s.aimAt(r, func(p plan.Path, t probe.Target) {
			if targets[p] == nil { // mostly all peers have the path
				targets[p] = make([]probe.Target, 0, len(routes))
			}
			targets[p] = append(targets[p], t)
		})
	}
	return targets
}

// aimAt hands over what the book says is to be probed of a peer.
func (s *proofs) aimAt(r *plan.Route, take func(plan.Path, probe.Target)) {
	for _, c := range r.Ways() {
		role, wanted := s.book.Role(r.ID, c.Path)
		if !wanted || !s.worth(c) {
			continue
		}
		if t, ok := s.target(r, c); ok {
			t.Role = role
			take(c.Path, t)
		}
	}
}

// target makes what is probed to prove a path to a peer.
func (s *proofs) target(r *plan.Route, c plan.Candidate) (t probe.Target, ok bool) {
	t = probe.Target{ID: r.ID, Endpoint: r.Endpoint, Lease: r.Prefix, Way: s.key(r, c)}
	mtu := s.cfg.Plane.Link().MTU
	if c.Path.Datagrams() {
		peer := s.cfg.Routes.Peer(r.ID)
		if peer == nil {
			return t, false
		}
		t.Longest = func() int { return min(mtu, peer.Limit()) }
		t.Traffic = func() (egress, ingress uint64) {
			out, in := peer.Traffic()
			return out.Packets, in.Packets
		}
		if c.Path == plan.PathShortcut {
			t.Send, t.Checksums = s.sender(c), true
		}
		return t, true
	}
	if r.MTU > 0 {
		mtu = min(mtu, r.MTU)
	}
	t.Endpoint = netip.AddrPortFrom(c.Endpoint, c.Port)
	t.Longest = func() int { return mtu }
	t.Checksums = checksums(c.Path)
	if c.Path == plan.PathDirect && r.Node == (peers.NodeID{}) {
		t.Own = r.Prefix.Addr().Next() // flannel's host-gw has no device with the first address, but the bridge
	}
	t.Send = s.sender(c)
	if s.kernel.Traffic != nil {
		key := TrafficKey{c.Path, r.Prefix}
		t.Traffic = func() (egress, ingress uint64) {
			if counts := s.traffic.Load(); counts != nil {
				egress, ingress = counts.sent[key.Lease].Packets, counts.arrived[key].Packets
			}
			return egress, ingress
		}
	}
	return t, true
}

// sender sends packets to a peer by a kernel path, whether a route leads over
// it or not.
func (s *proofs) sender(c plan.Candidate) func(packet []byte, o probe.Offload) (int, error) {
	if c.Path == plan.PathIPIP {
		return func(packet []byte, o probe.Offload) (int, error) {
			if o != (probe.Offload{}) {
				return 0, errors.ErrUnsupported
			}
			return 0, s.wire.SendIPIP(s.cfg.Here(), c.Endpoint, packet)
		}
	}
	if c.Path == plan.PathShortcut {
		return func(packet []byte, o probe.Offload) (int, error) {
			return 0, s.wire.SendMarked(s.kernel.device(c.Path), s.kernel.Shortcut.Mark, packet, packetsocket.Offload(o))
		}
	}
	return func(packet []byte, o probe.Offload) (int, error) {
		return 0, s.wire.Send(s.kernel.device(c.Path), c.MAC, packet, packetsocket.Offload(o))
	}
}
