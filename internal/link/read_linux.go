package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addrGenModeNone is IN6_ADDR_GEN_MODE_NONE (linux/if_link.h): no link-local
// address, so no router solicitations for flanneld to read and drop.
const addrGenModeNone = 1

// attempts is how often a dump is repeated that the kernel says was
// interrupted by a change (NLM_F_DUMP_INTR).
const attempts = 5

// readLink reads the device without its addresses and routes.
func readLink(name string) (netlink.Link, state, error) {
	l, err := netlink.LinkByName(name)
	if gone(err) {
		return nil, state{}, fmt.Errorf("link: %w: %s", ErrNoDevice, name)
	}
	if err != nil {
		return nil, state{}, fmt.Errorf("link: read %s: %w", name, err)
	}
	attrs := l.Attrs()
	return l, state{
		isTUN:   isTUN(l),
		kind:    kind(l),
		alias:   attrs.Alias,
		up:      attrs.Flags&net.FlagUp != 0,
		mtu:     attrs.MTU,
		txQueue: attrs.TxQLen,
		ip6auto: generatesIP6(name),
	}, nil
}

// read reads the device whole.
func read(c Config) (netlink.Link, state, error) {
	l, s, err := readLink(c.Name)
	if err != nil {
		return nil, state{}, err
	}
	addrs, err := dump("addresses of "+c.Name, func() ([]netlink.Addr, error) {
		return netlink.AddrList(l, netlink.FAMILY_V4)
	})
	if err != nil {
		return nil, state{}, err
	}
	for _, a := range addrs {
		if p, ok := toPrefix(a.IPNet); ok {
			s.addrs = append(s.addrs, p)
		}
	}
	return l, s, s.readRoutes(l, c.Network)
}

// readRoutes reads the main table's routes to the device, and who else has
// the network's.
func (s *state) readRoutes(l netlink.Link, network netip.Prefix) error {
	routes, err := dump("routes", func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, nil, 0)
	})
	if err != nil {
		return err
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

// dump repeats an interrupted dump a few times.
func dump[T any](what string, f func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		items, err := f()
		if err == nil {
			return items, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) || try == attempts {
			return nil, fmt.Errorf("link: list %s: %w", what, err)
		}
	}
}

// isTUN tells a TUN from a TAP and from everything else.
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

// generatesIP6 reads the sysctl, since the kernel's link messages carry the
// mode but the library drops it. Without the file there is no IPv6.
func generatesIP6(name string) bool {
	mode, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/addr_gen_mode")
	return err == nil && strings.TrimSpace(string(mode)) != fmt.Sprint(addrGenModeNone)
}

func linkName(index int) string {
	if l, err := netlink.LinkByIndex(index); err == nil {
		return l.Attrs().Name
	}
	return "another next hop"
}

func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if addr = addr.Unmap(); !ok || addr.BitLen() != size {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr, bits), true
}

func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func fromRoute(r netlink.Route) route {
	dst, _ := toPrefix(r.Dst)
	src, _ := netip.AddrFromSlice(r.Src)
	return route{dst: dst, src: src.Unmap(), scope: int(r.Scope), protocol: int(r.Protocol), metric: r.Priority}
}

func toRoute(l netlink.Link, r route) *netlink.Route {
	return &netlink.Route{
		LinkIndex: l.Attrs().Index,
		Dst:       toIPNet(r.dst),
		Src:       r.src.AsSlice(),
		Scope:     netlink.Scope(r.scope),
		Protocol:  netlink.RouteProtocol(r.protocol),
		Priority:  r.metric,
	}
}
