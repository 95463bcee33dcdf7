// SPDX-License-Identifier: Apache-2.0

package ports

import (
	"net"
	"net/netip"
	"slices"

	"flanneld/internal/host/rtnl"
)

// GatewayDevices names the devices of containers' kinds that have a default
// route, or a route to a member through a gateway. Such a device leads to other
// hosts, though containers use the kind as well. The list is empty where the
// kernel cannot be read. underlay is the device that datagrams leave by.
func GatewayDevices(members []Member, underlay string) []string {
	links, err := rtnl.Links()
	if err != nil {
		return nil
	}
	candidates := map[int]string{}
	for _, l := range links {
		if slices.Contains(rtnl.ContainerKinds, l.Type()) && l.Attrs().MasterIndex == 0 {
			candidates[l.Attrs().Index] = l.Attrs().Name
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	routes, err := rtnl.Routes()
	if err != nil {
		return nil
	}
	near := ownSubnet(members, underlay)
	var names []string
	for _, r := range routes {
		if !leadsOut(rtnl.Destination(r), members, near) {
			continue
		}
		if name, ok := candidates[r.LinkIndex]; ok && len(r.Gw) > 0 {
			names = append(names, name)
		}
		for _, hop := range r.MultiPath {
			if name, ok := candidates[hop.LinkIndex]; ok && len(hop.Gw) > 0 {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// leadsOut reports whether a route is for everything, for a member, or for part
// of the underlay's own subnet, where newcomers are.
func leadsOut(to netip.Prefix, members []Member, near netip.Prefix) bool {
	return to.Bits() == 0 || near.IsValid() && near.Bits() <= to.Bits() && near.Contains(to.Addr()) ||
		slices.ContainsFunc(members, func(m Member) bool { return !m.Self && to.Contains(m.Addr) })
}

// ownSubnet is the subnet of this host's address on the underlay device; zero
// where the device is gone, or has the address no more.
func ownSubnet(members []Member, underlay string) netip.Prefix {
	device, err := net.InterfaceByName(underlay)
	if err != nil {
		return netip.Prefix{}
	}
	addrs, err := device.Addrs()
	if err != nil {
		return netip.Prefix{}
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && slices.ContainsFunc(members, func(m Member) bool { return m.Self && m.Addr == p.Addr() }) {
			return p.Masked()
		}
	}
	return netip.Prefix{}
}
