// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"net/netip"
	"slices"
)

// maxOthers bounds what is tried when no member answers.
const maxOthers = 8

// others is Others over a snapshot.
func others(h host, o Options, here netip.Addr, targets []netip.Addr, reach reacher) []Underlay {
	var found []Underlay
	for _, s := range h.allowed(o, targets, reach) {
		u, err := h.settle(s, o)
		known := slices.ContainsFunc(found, func(other Underlay) bool { return other.Addr == u.Addr })
		if err == nil && u.Addr != here && !u.Addr.IsLoopback() && !known {
			found = append(found, u)
		}
	}
	slices.SortStableFunc(found, func(a, b Underlay) int { return linkLocal(a) - linkLocal(b) })
	return found[:min(len(found), maxOthers)]
}

func linkLocal(u Underlay) int {
	if u.Addr.IsLinkLocalUnicast() {
		return 1
	}
	return 0
}

// allowed lists all spots that the options do not exclude.
func (h host) allowed(o Options, targets []netip.Addr, reach reacher) []spot {
	var spots []spot
	switch {
	case len(o.Iface)+len(o.IfaceRegex) > 0:
		spots, _ = h.named(o) // an expression that is none was refused at the start
	case o.CanReach.IsValid():
		if s, err := byReach(h, o, reach); err == nil {
			spots = append(spots, s)
		}
	default:
		spots = h.towards(o, targets, reach)
	}
	for _, s := range spots {
		if s.addr.IsValid() {
			continue
		}
		for _, a := range s.iface.addrs {
			spots = append(spots, spot{s.iface, a.prefix.Addr()})
		}
	}
	return spots
}

// towards lists the spots of the routes to targets, then the default routes'.
func (h host) towards(o Options, targets []netip.Addr, reach reacher) []spot {
	var spots []spot
	for _, t := range targets {
		r, err := reach(t)
		if err != nil {
			continue
		}
		if f := h.byIndex(r.index); f != nil && f.name != o.Device && !f.loopback {
			spots = append(spots, h.leaving(*f, r.src, o))
		}
	}
	return append(spots, h.ways(o)...)
}

// at is At over a snapshot. Where no route leads out from the address for a
// while, the interface that has it stands for the one datagrams leave by.
func at(h host, o Options, addr netip.Addr) (Underlay, bool) {
	f := h.holder(addr, o.Device)
	if f == nil {
		return Underlay{}, false
	}
	u, err := h.settle(spot{*f, addr}, o)
	if err != nil {
		u = Underlay{Interface: f.name, Index: f.index, Addr: addr, PublicAddr: addr, MTU: f.mtu}
		if o.PublicIP.IsValid() {
			u.PublicAddr = o.PublicIP.Unmap()
		}
	}
	return u, true
}
