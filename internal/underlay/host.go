package underlay

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// host is a snapshot of what the decisions need to know.
type host struct {
	interfaces []iface
	routes     []route // IPv4, main table
}

// iface is a network interface.
type iface struct {
	name     string
	index    int
	mtu      int
	up       bool
	loopback bool
	bridge   bool
	addrs    []ifaceAddr // IPv4, the kernel's order: primary ones first
}

type ifaceAddr struct {
	prefix    netip.Prefix // not masked
	secondary bool
}

// route is an entry of the main table.
type route struct {
	dst     netip.Prefix // masked; the default route is 0.0.0.0/0
	index   int          // of the interface; 0: none
	metric  int
	src     netip.Addr // preferred source; zero: none
	nowhere bool       // blackhole, unreachable, prohibit, throw
}

// byIndex returns nil where there is no such interface.
func (h host) byIndex(index int) *iface {
	i := slices.IndexFunc(h.interfaces, func(f iface) bool { return f.index == index })
	if i < 0 {
		return nil
	}
	return &h.interfaces[i]
}

// deviceName names an interface for an error.
func (h host) deviceName(index int) string {
	if f := h.byIndex(index); f != nil {
		return f.name
	}
	return "no device"
}

// best is the address to use among an interface's: global before link-local
// (RFC 3927), primary before secondary, then the kernel's order.
func (f iface) best() (netip.Addr, bool) {
	rank := func(a ifaceAddr) int {
		r := 0
		if a.prefix.Addr().IsLinkLocalUnicast() {
			r += 2
		}
		if a.secondary {
			r++
		}
		return r
	}
	if len(f.addrs) == 0 {
		return netip.Addr{}, false
	}
	a := slices.MinFunc(f.addrs, func(a, b ifaceAddr) int { return rank(a) - rank(b) })
	return a.prefix.Addr(), true
}

// has says whether the interface holds the address.
func (f iface) has(addr netip.Addr) bool {
	return slices.ContainsFunc(f.addrs, func(a ifaceAddr) bool { return a.prefix.Addr() == addr })
}

// list is the end of an error: what there is to choose from.
func (h host) list(device string) string {
	var items []string
	for _, f := range h.interfaces {
		if f.name == device {
			continue
		}
		var addrs []string
		for _, a := range f.addrs {
			addrs = append(addrs, a.prefix.Addr().String())
		}
		what := strings.Join(addrs, " ")
		switch {
		case len(addrs) == 0:
			what = "no IPv4 address"
		case !f.up:
			what += ", down"
		}
		items = append(items, fmt.Sprintf("%s (%s)", f.name, what))
	}
	if len(items) == 0 {
		return "this host has no interface"
	}
	return "there is " + strings.Join(items, ", ")
}
