// SPDX-License-Identifier: Apache-2.0

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
	altnames []string // other names it goes by (Linux 5.5)
	index    int
	mtu      int
	up       bool
	loopback bool
	dummy    bool // like loopback: it holds addresses, and nothing leaves by it
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
	gateway bool       // leads through a router; else its destination is on the link
	down    bool       // its link has no carrier, or the kernel does not use it
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

// best is the address to use among an interface's: prefer, if the interface has
// it. Otherwise global comes before link-local (RFC 3927), and that before
// loopback. An address with a subnet comes before a single one, which may move
// to another host, and primary before secondary. Last, the kernel's order
// decides. Not ok without an address.
func (f iface) best(prefer netip.Addr) (addr netip.Addr, ok bool) {
	rank := func(a ifaceAddr) int {
		r := 0
		if a.prefix.Addr().IsLoopback() {
			r += 16
		}
		if a.prefix.Addr().IsLinkLocalUnicast() {
			r += 8
		}
		if a.prefix.Addr() != prefer {
			r += 4
		}
		if a.prefix.IsSingleIP() {
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

// has reports whether the interface holds the address.
func (f iface) has(addr netip.Addr) bool {
	return slices.ContainsFunc(f.addrs, func(a ifaceAddr) bool { return a.prefix.Addr() == addr })
}

// is reports whether the interface goes by the name.
func (f iface) is(name string) bool { return f.name == name || slices.Contains(f.altnames, name) }

// inner interfaces hold addresses, and nothing leaves the host by them.
func (f iface) inner() bool { return f.loopback || f.dummy }

// holder finds an interface that is up and has the address; the overlay device
// does not count. Nil where there is none.
func (h host) holder(addr netip.Addr, device string) *iface {
	for i, f := range h.interfaces {
		if f.name != device && f.up && f.has(addr) {
			return &h.interfaces[i]
		}
	}
	return nil
}

// lent is the address the kernel gives to what leaves by an interface that has
// none (inet_select_addr): one of an inner interface.
func (h host) lent(device string) (netip.Addr, bool) {
	for _, f := range h.interfaces {
		if f.name == device || !f.up || !f.inner() {
			continue
		}
		if addr, ok := f.best(netip.Addr{}); ok && !addr.IsLoopback() {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// exit is the interface that datagrams of an address on an inner interface
// leave by: the default route's; without one, any route's. Of several the one
// with the smallest MTU counts. Nil where no route leads out.
func (h host) exit(device string) *iface {
	for _, all := range []bool{false, true} {
		var found *iface
		for _, r := range h.routes {
			f := h.byIndex(r.index)
			if r.nowhere || f == nil || f.name == device || f.inner() || f.bridge && all || r.dst.Bits() != 0 && !all {
				continue
			}
			if found == nil || f.mtu < found.mtu {
				found = f
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
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
