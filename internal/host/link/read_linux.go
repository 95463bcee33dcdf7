// SPDX-License-Identifier: Apache-2.0

package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

// addrGenModeNone means no link-local address, so no router solicitations for
// flanneld to read and drop.
const addrGenModeNone = nl.IN6_ADDR_GEN_MODE_NONE

// readLink reads the device without its addresses and routes.
func readLink(name string) (netlink.Link, state, error) {
	l, err := netlink.LinkByName(name)
	if rtnl.Gone(err) {
		return nil, state{}, fmt.Errorf("link: %w: %s", ErrNoDevice, name)
	}
	if err != nil {
		return nil, state{}, fmt.Errorf("link: read %s: %w", name, err)
	}
	return l, stateOf(l), nil
}

func stateOf(l netlink.Link) state {
	attrs := l.Attrs()
	return state{
		isTUN:   isTUN(l),
		kind:    kind(l),
		alias:   attrs.Alias,
		up:      attrs.Flags&net.FlagUp != 0,
		mtu:     attrs.MTU,
		txQueue: attrs.TxQLen,
		ip6auto: GeneratesIP6(attrs.Name),
	}
}

// findRenamed looks for our device under another name: by its alias, which
// holds the node's ID.
func findRenamed(c Config) (netlink.Link, state, bool) {
	links, err := rtnl.Links()
	if err != nil {
		return nil, state{}, false
	}
	for _, l := range links {
		if l.Attrs().Alias == c.Alias && isTUN(l) {
			s := stateOf(l)
			s.renamed = l.Attrs().Name
			return l, s, true
		}
	}
	return nil, state{}, false
}

// read reads the device whole, also where it was renamed.
func read(c Config) (netlink.Link, state, error) {
	l, s, err := readLink(c.Name)
	if errors.Is(err, ErrNoDevice) {
		var renamed bool
		if l, s, renamed = findRenamed(c); renamed {
			err = nil
		}
	}
	if err != nil {
		return nil, state{}, err
	}
	addrs, err := rtnl.Addrs(l)
	if err != nil {
		return nil, state{}, fmt.Errorf("link: %w", err)
	}
	for _, a := range addrs {
		if p, ok := rtnl.Prefix(a.IPNet); ok {
			s.addrs = append(s.addrs, p)
		}
	}
	s.earlier = broadcastTo(c.Addr)
	return l, s, s.readRoutes(l, c.Network)
}

// broadcastTo asks the kernel whether an address is for broadcasts. No answer
// means that there is no route to it.
func broadcastTo(addr netip.Addr) broadcast {
	found, err := netlink.RouteGet(addr.AsSlice())
	if err != nil || len(found) == 0 || found[0].Type != unix.RTN_BROADCAST {
		return broadcast{}
	}
	return broadcast{device: linkName(found[0].LinkIndex), index: found[0].LinkIndex}
}

// readRoutes reads the main table's routes to the device, and which other
// device has the network's route.
func (s *state) readRoutes(l netlink.Link, network netip.Prefix) error {
	routes, err := rtnl.Routes()
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	for _, r := range routes {
		entry := fromRoute(r)
		switch {
		case r.LinkIndex == l.Attrs().Index && len(r.Gw) == 0 && r.Type == unix.RTN_UNICAST:
			s.routes = append(s.routes, entry)
		case entry.dst == network && entry.metric == 0:
			s.routedBy = linkName(r.LinkIndex)
		}
	}
	return nil
}

// isTUN reports whether the link is a TUN, and no TAP.
func isTUN(l netlink.Link) bool {
	t, ok := l.(*netlink.Tuntap)
	return ok && t.Mode == netlink.TUNTAP_MODE_TUN
}

// kind names the device as ip -d link does.
func kind(l netlink.Link) string {
	if t, ok := l.(*netlink.Tuntap); ok && t.Mode == netlink.TUNTAP_MODE_TAP {
		return "tap"
	}
	if k := l.Type(); k != "" {
		return k
	}
	return "network"
}

// GeneratesIP6 reports whether the kernel makes up an IPv6 link-local address
// for the device. It reads the sysctl, since the kernel's link messages carry
// the mode but the library drops it. Without the file there is no IPv6.
func GeneratesIP6(name string) bool {
	mode, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/addr_gen_mode")
	return err == nil && strings.TrimSpace(string(mode)) != fmt.Sprint(addrGenModeNone)
}

func linkName(index int) string {
	if l, err := netlink.LinkByIndex(index); err == nil {
		return l.Attrs().Name
	}
	return "another next hop"
}

func fromRoute(r netlink.Route) route {
	return route{dst: rtnl.Destination(r), src: rtnl.Addr(r.Src), scope: int(r.Scope), protocol: int(r.Protocol), metric: r.Priority}
}

func toRoute(l netlink.Link, r route) *netlink.Route {
	return &netlink.Route{
		LinkIndex: l.Attrs().Index,
		Dst:       rtnl.IPNet(r.dst),
		Src:       r.src.AsSlice(),
		Scope:     netlink.Scope(r.scope),
		Protocol:  netlink.RouteProtocol(r.protocol),
		Priority:  r.metric,
	}
}
