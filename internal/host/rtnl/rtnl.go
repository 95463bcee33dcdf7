// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package rtnl reads the kernel's lists of links, addresses and routes whole,
// reports when they change, and converts between the netlink library's address
// types and net/netip's.
package rtnl

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Links lists the network interfaces.
func Links() ([]netlink.Link, error) { return dump("interfaces", netlink.LinkList) }

// Addrs lists the IPv4 addresses of one interface, of all for nil.
func Addrs(l netlink.Link) ([]netlink.Addr, error) {
	return dump("addresses", func() ([]netlink.Addr, error) {
		return netlink.AddrList(l, netlink.FAMILY_V4)
	})
}

// Routes lists the IPv4 routes of the main table.
func Routes() ([]netlink.Route, error) {
	return dump("routes", func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, 0)
	})
}

// AllRoutes lists the IPv4 routes of all tables.
func AllRoutes() ([]netlink.Route, error) {
	return dump("routes", func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
}

// Rules lists the IPv4 rules of policy routing: none where the kernel was built
// without it (CONFIG_IP_MULTIPLE_TABLES).
func Rules() ([]netlink.Rule, error) {
	return dump("rules", func() ([]netlink.Rule, error) {
		rules, err := netlink.RuleList(netlink.FAMILY_V4)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, nil
		}
		return rules, err
	})
}

// attempts bounds how often a dump is tried that a change interrupts
// (NLM_F_DUMP_INTR, Linux 3.1).
const attempts = 5

func dump[T any](what string, list func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		items, err := list()
		if err == nil {
			return items, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) || try == attempts {
			return nil, fmt.Errorf("list the host's %s: %w", what, err)
		}
	}
}

// KernelPath reports whether a route is flanneld's own, to a single peer.
func KernelPath(r netlink.Route) bool { return int(r.Protocol) == Protocol }

// Tunnel reports whether an interface is a tunnel device that flanneld made.
func Tunnel(l netlink.Link) bool {
	kind := l.Type()
	return (kind == "vxlan" || kind == "ipip") && strings.HasPrefix(l.Attrs().Alias, AliasPrefix)
}

// Prefix converts n and keeps its host part; not ok for nil and for anything
// but IPv4.
func Prefix(n *net.IPNet) (p netip.Prefix, ok bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if addr = addr.Unmap(); !ok || !addr.Is4() || size != addr.BitLen() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, bits), true
}

// Destination is where a route leads: 0.0.0.0/0 where the kernel says nothing.
func Destination(r netlink.Route) netip.Prefix {
	if p, ok := Prefix(r.Dst); ok {
		return p.Masked()
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// Addr converts an address; zero for nil.
func Addr(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

// IPNet converts a prefix with its host part.
func IPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
