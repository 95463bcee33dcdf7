// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// Choose finds the underlay that the options ask for. The error is one line
// with what there is to choose from; it is ErrNotYet where time may mend it.
func Choose(o Options) (Underlay, error) {
	h, err := readHost()
	if err != nil {
		return Underlay{}, err
	}
	return choose(h, o, routeTo)
}

// Others lists every other underlay that the options allow, the best first.
// These are the addresses of the interfaces they name, or those of all default
// routes and of the kernel's routes to targets. targets are underlay addresses
// of other nodes.
func Others(o Options, here netip.Addr, targets []netip.Addr) ([]Underlay, error) {
	h, err := readHost()
	if err != nil {
		return nil, err
	}
	return others(h, o, here, targets, routeTo), nil
}

// At is the underlay with that address as it is now; not ok while no interface
// that is up has it.
func At(o Options, addr netip.Addr) (u Underlay, ok bool, err error) {
	h, err := readHost()
	if err != nil {
		return Underlay{}, false, err
	}
	u, ok = at(h, o, addr)
	return u, ok, nil
}

// Watch reports, on a channel of capacity one, a change of what Choose looks
// at. It ends with ctx.
func Watch(ctx context.Context) (<-chan struct{}, error) { return rtnl.Watch(ctx) }

// Overlaps lists what shares addresses with the overlay network: interfaces and
// routes of this host that are not on device, the overlay's own. Default routes
// do not count, nor bridges in a lease of ours. Such a lease is known by the
// address that device still carries, and by the prefixes ours, where the caller
// knows more (the lease in its state, the one in subnet.env).
func Overlaps(network netip.Prefix, device string, ours ...netip.Prefix) ([]Overlap, error) {
	h, err := readHost()
	if err != nil {
		return nil, err
	}
	return overlaps(h, network.Masked(), device, ours), nil
}

// readHost takes the snapshot, without kernel paths: their devices and routes
// are the overlay's.
func readHost() (host, error) {
	links, err := rtnl.Links()
	if err != nil {
		return host{}, fmt.Errorf("underlay: %w", err)
	}
	addrs, err := rtnl.Addrs(nil)
	if err != nil {
		return host{}, fmt.Errorf("underlay: %w", err)
	}
	routes, err := rtnl.Routes()
	if err != nil {
		return host{}, fmt.Errorf("underlay: %w", err)
	}
	var h host
	for _, l := range links {
		if !rtnl.Tunnel(l) {
			h.interfaces = append(h.interfaces, readLink(l, addrs))
		}
	}
	for _, r := range routes {
		if !rtnl.KernelPath(r) {
			h.routes = append(h.routes, readRoute(r)...)
		}
	}
	return h, nil
}

func readLink(l netlink.Link, addrs []netlink.Addr) iface {
	attrs := l.Attrs()
	f := iface{
		name:     attrs.Name,
		index:    attrs.Index,
		mtu:      attrs.MTU,
		up:       attrs.Flags&net.FlagUp != 0,
		loopback: attrs.Flags&net.FlagLoopback != 0,
		bridge:   l.Type() == "bridge",
		dummy:    l.Type() == "dummy",
		altnames: attrs.AltNames,
	}
	for _, a := range addrs {
		if p, ok := rtnl.Prefix(a.IPNet); ok && a.LinkIndex == attrs.Index {
			f.addrs = append(f.addrs, ifaceAddr{prefix: p, secondary: a.Flags&unix.IFA_F_SECONDARY != 0})
		}
	}
	return f
}

// unusable are the flags of a route or next hop with a link that is dead or has
// no carrier (Linux 4.2).
const unusable = unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN

// readRoute gives one entry a next hop.
func readRoute(r netlink.Route) []route {
	entry := route{
		dst: rtnl.Destination(r), index: r.LinkIndex, metric: r.Priority, src: rtnl.Addr(r.Src),
		gateway: len(r.Gw) > 0 || r.Via != nil, down: r.Flags&unusable != 0,
	}
	switch r.Type {
	case unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT, unix.RTN_THROW:
		entry.nowhere = true
	}
	if len(r.MultiPath) == 0 {
		return []route{entry}
	}
	var entries []route
	for _, hop := range r.MultiPath {
		entry.index, entry.down = hop.LinkIndex, hop.Flags&unusable != 0
		entry.gateway = len(hop.Gw) > 0 || hop.Via != nil
		entries = append(entries, entry)
	}
	return entries
}

// routeTo asks the kernel for its route to addr.
func routeTo(addr netip.Addr) (route, error) {
	if !addr.Unmap().Is4() {
		return route{}, errors.New("not an IPv4 address")
	}
	found, err := netlink.RouteGet(addr.Unmap().AsSlice())
	if err != nil {
		return route{}, fmt.Errorf("no route: %w", err)
	}
	if len(found) == 0 {
		return route{}, errors.New("no route")
	}
	return readRoute(found[0])[0], nil
}
