package underlay

import (
	"fmt"
	"net/netip"
	"regexp"
)

// choose is Choose over a snapshot; reach is the answer of the kernel to
// "which way to CanReach", asked only when that is set.
func choose(h host, o Options, reach func(netip.Addr) (route, error)) (Underlay, error) {
	f, addr, err := pick(h, o, reach)
	if err != nil {
		return Underlay{}, err
	}
	if !f.up {
		return Underlay{}, fmt.Errorf("underlay: interface %s is down: set it up, or choose another with --iface; %s", f.name, h.list(o.Device))
	}
	if !addr.IsValid() {
		var ok bool
		if addr, ok = f.best(); !ok {
			return Underlay{}, fmt.Errorf("underlay: interface %s has no IPv4 address: choose another with --iface; %s", f.name, h.list(o.Device))
		}
	}
	u := Underlay{Interface: f.name, Index: f.index, Addr: addr, PublicAddr: addr, MTU: f.mtu}
	if o.PublicIP.IsValid() {
		u.PublicAddr = o.PublicIP.Unmap()
	}
	return u, checkPublic(u, f.loopback)
}

// pick finds the interface; the address is zero where the interface alone was
// asked for.
func pick(h host, o Options, reach func(netip.Addr) (route, error)) (iface, netip.Addr, error) {
	switch {
	case len(o.Iface)+len(o.IfaceRegex) > 0:
		return byName(h, o)
	case o.CanReach.IsValid():
		return byReach(h, o, reach)
	default:
		return byDefaultRoute(h, o)
	}
}

func byName(h host, o Options) (iface, netip.Addr, error) {
	for _, want := range o.Iface {
		addr, err := netip.ParseAddr(want)
		for _, f := range h.interfaces {
			switch {
			case f.name == o.Device:
			case f.name == want:
				return f, netip.Addr{}, nil
			case err == nil && f.has(addr.Unmap()):
				return f, addr.Unmap(), nil
			}
		}
	}
	for _, expr := range o.IfaceRegex {
		re, err := regexp.Compile(expr)
		if err != nil {
			return iface{}, netip.Addr{}, fmt.Errorf("underlay: --iface-regex %q is no regular expression: %w", expr, err)
		}
		if f, addr, ok := h.match(re, o.Device); ok {
			return f, addr, nil
		}
	}
	return iface{}, netip.Addr{}, fmt.Errorf("underlay: no interface fits %s: %s", asked(o), h.list(o.Device))
}

// match finds the first interface whose name fits, or else the first with an
// address that fits. A loopback interface is only taken by --iface.
func (h host) match(re *regexp.Regexp, device string) (iface, netip.Addr, bool) {
	for _, f := range h.interfaces {
		if f.usable(device) && re.MatchString(f.name) {
			return f, netip.Addr{}, true
		}
	}
	for _, f := range h.interfaces {
		for _, a := range f.addrs {
			if f.usable(device) && re.MatchString(a.prefix.Addr().String()) {
				return f, a.prefix.Addr(), true
			}
		}
	}
	return iface{}, netip.Addr{}, false
}

func (f iface) usable(device string) bool {
	return f.name != device && !f.loopback && f.up && len(f.addrs) > 0
}

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

func byReach(h host, o Options, reach func(netip.Addr) (route, error)) (iface, netip.Addr, error) {
	r, err := reach(o.CanReach)
	if err != nil {
		return iface{}, netip.Addr{}, fmt.Errorf("underlay: --iface-can-reach %s: %w: %s", o.CanReach, err, h.list(o.Device))
	}
	f := h.byIndex(r.index)
	switch {
	case f == nil:
		return iface{}, netip.Addr{}, fmt.Errorf("underlay: --iface-can-reach %s: the route leads to no interface: %s", o.CanReach, h.list(o.Device))
	case f.loopback:
		return iface{}, netip.Addr{}, fmt.Errorf("underlay: --iface-can-reach %s is an address of this host itself: name one of another host", o.CanReach)
	case f.name == o.Device:
		return iface{}, netip.Addr{}, fmt.Errorf("underlay: --iface-can-reach %s lies in the overlay: name an underlay address", o.CanReach)
	case r.src.IsValid() && f.has(r.src):
		return *f, r.src, nil
	}
	return *f, netip.Addr{}, nil
}

// byDefaultRoute takes the default route that the kernel would, the one with
// the lowest metric.
func byDefaultRoute(h host, o Options) (iface, netip.Addr, error) {
	var found *route
	for i, r := range h.routes {
		f := h.byIndex(r.index)
		if r.dst.Bits() != 0 || r.nowhere || f == nil || f.name == o.Device {
			continue
		}
		if found == nil || r.metric < found.metric {
			found = &h.routes[i]
		}
	}
	if found == nil {
		return iface{}, netip.Addr{}, fmt.Errorf("underlay: no default route to tell the underlay by: name the interface with --iface; %s", h.list(o.Device))
	}
	f := h.byIndex(found.index)
	if found.src.IsValid() && f.has(found.src) {
		return *f, found.src, nil
	}
	return *f, netip.Addr{}, nil
}

// checkPublic refuses addresses that no other node could send to.
func checkPublic(u Underlay, loopback bool) error {
	a := u.PublicAddr
	limitedBroadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	switch {
	case !a.Is4():
		return fmt.Errorf("underlay: --public-ip %s is no IPv4 address", a)
	case a.IsUnspecified(), a.IsMulticast(), a == limitedBroadcast:
		return fmt.Errorf("underlay: --public-ip %s is no address of a host", a)
	case a.IsLoopback() && !loopback:
		return fmt.Errorf("underlay: --public-ip %s is a loopback address, which other hosts cannot reach", a)
	}
	return nil
}
