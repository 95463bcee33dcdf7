package underlay

import (
	"fmt"
	"net/netip"
	"slices"
)

// overlap is Overlap over a snapshot.
func overlap(h host, network netip.Prefix, device string, ours []netip.Prefix) error {
	ours = append(leasesOn(h, device), ours...)
	for _, f := range h.interfaces {
		for _, a := range f.addrs {
			if f.name == device || !collides(network, a.prefix, ours) {
				continue
			}
			return fmt.Errorf("underlay: network %s overlaps the address %s of %s on this host: "+
				"choose another with --network, or take that address away", network, a.prefix, f.name)
		}
	}
	for _, r := range h.routes {
		name := h.deviceName(r.index)
		if name == device || !collides(network, r.dst, ours) {
			continue
		}
		if r.nowhere && r.dst.Bits() <= network.Bits() {
			continue // leads nowhere: nothing is hidden by a more specific route
		}
		return fmt.Errorf("underlay: network %s overlaps the route to %s (%s) on this host: "+
			"choose another with --network, or remove that route", network, r.dst, name)
	}
	return nil
}

// collides says whether the prefix shares addresses with the network. Default
// routes do not count, nor the two halves of the address space with which VPN
// clients shadow one; neither does what lies in a lease of ours: that is the
// bridge of our own containers.
func collides(network, prefix netip.Prefix, ours []netip.Prefix) bool {
	prefix = prefix.Masked()
	if prefix.Bits() <= 1 || !network.Overlaps(prefix) {
		return false
	}
	return !slices.ContainsFunc(ours, func(lease netip.Prefix) bool {
		return lease.Bits() <= prefix.Bits() && lease.Contains(prefix.Addr())
	})
}

// leasesOn returns the leases that the overlay device, kept over a restart,
// still tells of: it carries LEASE.0/32, so every bridge whose subnet begins
// with that address is the one our containers are on.
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
