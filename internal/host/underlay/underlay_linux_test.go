// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"net"
	"net/netip"
	"reflect"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"flanneld/internal/host/rtnl"
)

func TestRoutesAreReadByTheirNextHops(t *testing.T) {
	router := net.ParseIP("192.0.2.254")
	everything, part := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.244.9.0/24")
	inet6 := &netlink.Via{AddrFamily: netlink.FAMILY_V6, Addr: net.ParseIP("fe80::1")}
	for name, c := range map[string]struct {
		r    netlink.Route
		want []route
	}{
		"default": {netlink.Route{LinkIndex: 2, Gw: router, Priority: 100, Src: net.ParseIP("192.0.2.1")},
			[]route{{dst: everything, index: 2, metric: 100, src: netip.MustParseAddr("192.0.2.1"), gateway: true}}},
		"on the link":    {netlink.Route{LinkIndex: 2, Dst: rtnl.IPNet(part)}, []route{{dst: part, index: 2}}},
		"router of IPv6": {netlink.Route{LinkIndex: 2, Via: inet6}, []route{{dst: everything, index: 2, gateway: true}}},
		"no carrier":     {netlink.Route{LinkIndex: 2, Flags: unix.RTNH_F_LINKDOWN}, []route{{dst: everything, index: 2, down: true}}},
		"dead":           {netlink.Route{LinkIndex: 2, Flags: unix.RTNH_F_DEAD}, []route{{dst: everything, index: 2, down: true}}},
		"on the link by force": {netlink.Route{LinkIndex: 2, Gw: router, Flags: unix.RTNH_F_ONLINK},
			[]route{{dst: everything, index: 2, gateway: true}}},
		"blackhole":   {netlink.Route{Type: unix.RTN_BLACKHOLE}, []route{{dst: everything, nowhere: true}}},
		"unreachable": {netlink.Route{Type: unix.RTN_UNREACHABLE, LinkIndex: 1}, []route{{dst: everything, index: 1, nowhere: true}}},
		"prohibit":    {netlink.Route{Type: unix.RTN_PROHIBIT}, []route{{dst: everything, nowhere: true}}},
		"throw":       {netlink.Route{Type: unix.RTN_THROW}, []route{{dst: everything, nowhere: true}}},
		"two next hops": {netlink.Route{Priority: 5, MultiPath: []*netlink.NexthopInfo{
			{LinkIndex: 2, Gw: router, Flags: unix.RTNH_F_LINKDOWN}, {LinkIndex: 3}, {LinkIndex: 4, Via: inet6}}},
			[]route{{dst: everything, index: 2, metric: 5, gateway: true, down: true}, {dst: everything, index: 3, metric: 5}, {dst: everything, index: 4, metric: 5, gateway: true}}},
	} {
		if got := readRoute(c.r); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestInterfacesAreReadWithTheirAddresses(t *testing.T) {
	all := []netlink.Addr{
		{LinkIndex: 2, IPNet: rtnl.IPNet(netip.MustParsePrefix("192.0.2.1/24"))},
		{LinkIndex: 3, IPNet: rtnl.IPNet(netip.MustParsePrefix("192.0.2.2/24"))},
		{LinkIndex: 2, IPNet: rtnl.IPNet(netip.MustParsePrefix("192.0.2.3/24")), Flags: unix.IFA_F_SECONDARY},
		{LinkIndex: 2, IPNet: rtnl.IPNet(netip.MustParsePrefix("fd00::1/64"))},
		{LinkIndex: 2},
	}
	attrs := netlink.LinkAttrs{Name: "eth0", Index: 2, MTU: 9000, Flags: net.FlagUp, AltNames: []string{"enp3s0"}}
	want := iface{name: "eth0", altnames: []string{"enp3s0"}, index: 2, mtu: 9000, up: true, addrs: []ifaceAddr{
		{prefix: netip.MustParsePrefix("192.0.2.1/24")}, {prefix: netip.MustParsePrefix("192.0.2.3/24"), secondary: true},
	}}
	if got := readLink(&netlink.Device{LinkAttrs: attrs}, all); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	attrs.Flags = net.FlagLoopback
	if got := readLink(&netlink.Device{LinkAttrs: attrs}, nil); !got.loopback || got.up || got.bridge || got.dummy {
		t.Errorf("loopback: %+v", got)
	}
	if !readLink(&netlink.Bridge{LinkAttrs: attrs}, nil).bridge || !readLink(&netlink.Dummy{LinkAttrs: attrs}, nil).dummy {
		t.Error("a bridge or a dummy is not known")
	}
}

func TestRouteToIPv6IsNotAskedFor(t *testing.T) {
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("2001:db8::1")} {
		if r, err := routeTo(a); err == nil {
			t.Errorf("%s: %+v", a, r)
		}
	}
	plain, perr := routeTo(netip.MustParseAddr("127.0.0.1"))
	mapped, merr := routeTo(netip.MustParseAddr("::ffff:127.0.0.1"))
	if plain != mapped || (perr == nil) != (merr == nil) {
		t.Errorf("%+v, %v, and mapped %+v, %v", plain, perr, mapped, merr)
	}
}
