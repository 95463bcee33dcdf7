// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"

	"flanneld/peers"
)

// Arrival is a kernel path by which the holder of a route may send to this
// node. The holder chooses by which, and may do so while its daemon is dead.
type Arrival struct {
	Path Path
	Port uint16 // UDP, of the holder's VXLAN device; 0: another path
}

// Arrival returns one of the Arrivals; not ok: the path is none.
func (r Route) Arrival(path Path) (a Arrival, ok bool) {
	i := slices.IndexFunc(r.Arrivals, func(a Arrival) bool { return a.Path == path })
	if i < 0 {
		return a, false
	}
	return r.Arrivals[i], true
}

// fromNode lists the kernel paths that a node announces and this node takes. By
// a path that it does not announce, it sends nothing: it has not the table that
// keeps its users from sending in its name. The exception is the path of a
// static peer that the node was: what flannel has left there is still in use.
func (c *candidates) fromNode(n peers.NodeInfo, endpoint netip.Addr) (all []Arrival) {
	if !endpoint.IsValid() || endpoint == c.own {
		return nil
	}
	for _, p := range slices.Concat(c.backend, c.in.Former) {
		one := Candidate{Path: p, Endpoint: endpoint}
		if p.Kernel() && c.announces(&one, n) == "" {
			all = append(all, Arrival{Path: p, Port: one.Port})
		}
	}
	for _, s := range c.in.Static {
		p := s.Way()
		known := slices.ContainsFunc(all, func(a Arrival) bool { return a.Path == p })
		if SameHost(n, s) && p.Kernel() && !known && slices.Contains(c.backend, p) {
			all = append(all, Arrival{Path: p, Port: s.Endpoint.Port()})
		}
	}
	return all
}
