// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"flanneld/internal/valid"
)

// spot is an interface and an address, which may be another interface's; the
// zero address stands for the interface's best.
type spot struct {
	iface iface
	addr  netip.Addr
}

// reacher asks the kernel for its route to an address.
type reacher func(netip.Addr) (route, error)

// choose is Choose over a snapshot; it calls reach only where CanReach is set.
func choose(h host, o Options, reach reacher) (Underlay, error) {
	s, err := pick(h, o, reach)
	if err != nil {
		return Underlay{}, err
	}
	return h.settle(s, o)
}

// settle makes an underlay of a spot.
func (h host) settle(s spot, o Options) (Underlay, error) {
	f := s.iface
	if !f.up {
		return Underlay{}, notYet{fmt.Errorf("underlay: interface %s is down: set it up, or choose another with --iface; %s", f.name, h.list(o.Device))}
	}
	if !s.addr.IsValid() {
		var ok bool
		if s.addr, ok = f.best(o.Prefer); !ok {
			if s.addr, ok = h.lent(o.Device); !ok {
				return Underlay{}, notYet{fmt.Errorf("underlay: interface %s has no IPv4 address: choose another with --iface; %s", f.name, h.list(o.Device))}
			}
		}
	}
	if f.inner() && !s.addr.IsLoopback() {
		switch out := h.exit(o.Device); {
		case out != nil:
			f = *out
		case f.loopback:
			return Underlay{}, notYet{fmt.Errorf("underlay: no route leads from %s on %s to other hosts: add one; %s", s.addr, f.name, h.list(o.Device))}
		}
	}
	u := Underlay{Interface: f.name, Index: f.index, Addr: s.addr, PublicAddr: s.addr, MTU: f.mtu}
	if o.PublicIP.IsValid() {
		u.PublicAddr = o.PublicIP.Unmap()
	}
	return u, checkPublic(u, f.loopback)
}

// pick finds the spot that the options ask for.
func pick(h host, o Options, reach reacher) (spot, error) {
	switch {
	case len(o.Iface)+len(o.IfaceRegex) > 0:
		return byName(h, o)
	case o.CanReach.IsValid():
		return byReach(h, o, reach)
	default:
		return byDefaultRoute(h, o)
	}
}

// byName finds the first that fits.
func byName(h host, o Options) (spot, error) {
	named, err := h.named(o)
	switch {
	case err != nil:
		return spot{}, err
	case len(named) == 0:
		err := fmt.Errorf("underlay: no interface fits %s: %s", asked(o), h.list(o.Device))
		if onlyDevice := slices.Equal(o.Iface, []string{o.Device}) && len(o.IfaceRegex) == 0; onlyDevice {
			return spot{}, err // it is never the underlay
		}
		return spot{}, notYet{err}
	}
	return named[0], nil
}

// named lists all spots that fit --iface and --iface-regex, in their order.
func (h host) named(o Options) (found []spot, err error) {
	for _, want := range o.Iface {
		addr, err := netip.ParseAddr(want)
		for _, f := range h.interfaces {
			switch {
			case f.name == o.Device:
			case f.is(want):
				found = append(found, spot{iface: f})
			case err == nil && f.has(addr.Unmap()):
				found = append(found, spot{f, addr.Unmap()})
			}
		}
	}
	for _, expr := range o.IfaceRegex {
		re, err := regexp.Compile(expr)
		if err != nil {
			return nil, fmt.Errorf("underlay: --iface-regex %q is no regular expression: %w", expr, err)
		}
		found = append(found, h.match(re, o.Device)...)
	}
	return found, nil
}

// match finds the interfaces with a fitting name, then the addresses that fit.
// A loopback interface is only taken by its name with --iface; an address on it
// that is none of 127.0.0.0/8 is as good as any.
func (h host) match(re *regexp.Regexp, device string) (found []spot) {
	for _, f := range h.interfaces {
		if f.usable(device) && !f.loopback && slices.ContainsFunc(append([]string{f.name}, f.altnames...), re.MatchString) {
			found = append(found, spot{iface: f})
		}
	}
	for _, f := range h.interfaces {
		for _, a := range f.addrs {
			if addr := a.prefix.Addr(); f.usable(device) && !addr.IsLoopback() && re.MatchString(addr.String()) {
				found = append(found, spot{f, addr})
			}
		}
	}
	return found
}

func (f iface) usable(device string) bool { return f.name != device && f.up && len(f.addrs) > 0 }

// asked repeats the flags in an error.
func asked(o Options) string {
	switch {
	case len(o.IfaceRegex) == 0:
		return fmt.Sprintf("--iface %q", o.Iface)
	case len(o.Iface) == 0:
		return fmt.Sprintf("--iface-regex %q", o.IfaceRegex)
	default:
		return fmt.Sprintf("--iface %q or --iface-regex %q", o.Iface, o.IfaceRegex)
	}
}

func byReach(h host, o Options, reach reacher) (spot, error) {
	r, err := reach(o.CanReach)
	if err != nil {
		return spot{}, notYet{fmt.Errorf("underlay: --iface-can-reach %s: %w: %s", o.CanReach, err, h.list(o.Device))}
	}
	f := h.byIndex(r.index)
	switch {
	case f == nil:
		return spot{}, notYet{fmt.Errorf("underlay: --iface-can-reach %s: the route leads to no interface: %s", o.CanReach, h.list(o.Device))}
	case f.loopback:
		return spot{}, fmt.Errorf("underlay: --iface-can-reach %s is an address of this host itself: name one of another host", o.CanReach)
	case f.name == o.Device:
		return spot{}, fmt.Errorf("underlay: --iface-can-reach %s lies in the overlay: name an underlay address", o.CanReach)
	}
	return h.leaving(*f, r.src, o), nil
}

// leaving is the spot of a route: its interface, and its preferred source where
// any interface of the host has that.
func (h host) leaving(f iface, src netip.Addr, o Options) spot {
	if src.IsValid() && h.holder(src, o.Device) != nil {
		return spot{f, src}
	}
	return spot{iface: f}
}

// byDefaultRoute uses the default route of the lowest metric. A route that
// gives a link-local address, or none, is only used if there is no other. So is
// one with a link without carrier.
func byDefaultRoute(h host, o Options) (spot, error) {
	ways := h.ways(o)
	if len(ways) == 0 {
		return spot{}, notYet{fmt.Errorf("underlay: no default route to tell the underlay by: name the interface with --iface; %s", h.list(o.Device))}
	}
	return ways[0], nil
}

// ways are the spots of the default routes, the best one first.
func (h host) ways(o Options) []spot {
	type way struct {
		spot
		worth int
		route
	}
	var ways []way
	for _, r := range h.routes {
		f := h.byIndex(r.index)
		if r.dst.Bits() != 0 || r.nowhere || f == nil || f.name == o.Device {
			continue
		}
		w := way{spot: h.leaving(*f, r.src, o), route: r}
		switch u, err := h.settle(w.spot, o); {
		case err != nil:
			w.worth = 3
		case u.Addr.IsLinkLocalUnicast():
			w.worth = 2
		case r.down:
			w.worth = 1
		}
		ways = append(ways, w)
	}
	slices.SortStableFunc(ways, func(a, b way) int {
		return cmp.Or(cmp.Compare(a.worth, b.worth), cmp.Compare(a.metric, b.metric))
	})
	spots := make([]spot, len(ways))
	for i, w := range ways {
		spots[i] = w.spot
	}
	return spots
}

// checkPublic refuses addresses that no other node could send to.
func checkPublic(u Underlay, loopback bool) error {
	a := u.PublicAddr
	switch {
	case !a.Is4():
		return fmt.Errorf("underlay: --public-ip %s is no IPv4 address", a)
	case !valid.Host(a):
		return fmt.Errorf("underlay: --public-ip %s is no address of a host", a)
	case a.IsLoopback() && !loopback:
		return fmt.Errorf("underlay: --public-ip %s is a loopback address, which other hosts cannot reach", a)
	}
	return nil
}
