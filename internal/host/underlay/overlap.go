// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"fmt"
	"net/netip"
	"slices"
)

// Overlap is something of this host that shares addresses with the overlay
// network.
type Overlap struct {
	// What names it: the address 10.1.2.3/8 of eth1.
	What string
	// Remedy is how it can be taken away.
	Remedy string
	// Shadowed is a route through a router that the overlay's own beats,
	// since it is wider or has a greater metric. Only what lies behind it
	// under the network's addresses is hidden from this host, and that is
	// seldom anything.
	Shadowed bool
}

// overlaps is Overlaps over a snapshot.
func overlaps(h host, network netip.Prefix, device string, ours []netip.Prefix) []Overlap {
	ours = append(leasesOn(h, device), ours...)
	var found []Overlap
	add := func(o Overlap) {
		if !slices.Contains(found, o) { // a route of several next hops
			found = append(found, o)
		}
	}
	for _, f := range h.interfaces {
		for _, a := range f.addrs {
			if f.name != device && collides(network, a.prefix, ours) {
				add(Overlap{
					What:   fmt.Sprintf("the address %s of %s on this host", a.prefix, f.name),
					Remedy: "take that address away",
				})
			}
		}
	}
	for _, r := range h.routes {
		name := h.deviceName(r.index)
		if name == device || !collides(network, r.dst, ours) {
			continue
		}
		// The overlay's own route has metric 0.
		beaten := r.dst.Bits() < network.Bits() || r.dst == network && r.metric > 0
		if r.nowhere && r.dst.Bits() <= network.Bits() {
			continue // leads nowhere: nothing is hidden by a more specific route
		}
		add(Overlap{
			What:     fmt.Sprintf("the route to %s (%s) on this host", r.dst, name),
			Remedy:   "remove that route",
			Shadowed: beaten && r.gateway,
		})
	}
	return found
}

// collides reports whether the prefix shares addresses with the network.
// Default routes do not count, nor the two halves of the address space with
// which VPN clients shadow one. What lies in a lease of ours does not count
// either: that is the bridge of our own containers.
func collides(network, prefix netip.Prefix, ours []netip.Prefix) bool {
	prefix = prefix.Masked()
	if prefix.Bits() <= 1 || !network.Overlaps(prefix) {
		return false
	}
	return !slices.ContainsFunc(ours, func(lease netip.Prefix) bool {
		return lease.Bits() <= prefix.Bits() && lease.Contains(prefix.Addr())
	})
}

// leasesOn returns the leases that an overlay device kept over a restart still
// shows. The device has LEASE.0/32. So a bridge is our containers' bridge if
// its subnet begins with that address.
func leasesOn(h host, device string) []netip.Prefix {
	var bases []netip.Addr
	for _, f := range h.interfaces {
		for _, a := range f.addrs {
			if f.name == device {
				bases = append(bases, a.prefix.Addr())
			}
		}
	}
	var leases []netip.Prefix
	for _, f := range h.interfaces {
		for _, a := range f.addrs {
			subnet := a.prefix.Masked()
			if f.bridge && slices.Contains(bases, subnet.Addr()) {
				leases = append(leases, subnet)
			}
		}
	}
	return leases
}
