// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The address in use is looked at again and again: it counts as long as an
// interface that is up has it, whatever the routes say meanwhile.
func TestUnderlayAtAnAddressIsTheOneInUse(t *testing.T) {
	bare := routed()
	bare.routes = nil
	down := routed()
	down.interfaces[1].up = false
	public := netip.MustParseAddr("198.51.100.7")
	for name, c := range map[string]struct {
		h    host
		o    Options
		addr string
		want string // "": not there
		mtu  int
	}{
		"on a network card":             {vagrant(), Options{}, "10.0.2.15", "eth0 10.0.2.15", 1500},
		"secondary":                     {vagrant(), Options{}, "192.168.56.11", "eth1 192.168.56.11", 9000},
		"on another than the flags say": {vagrant(), Options{Iface: []string{"eth1"}}, "10.0.2.15", "eth0 10.0.2.15", 1500},
		"announced otherwise":           {vagrant(), Options{PublicIP: public}, "10.0.2.15", "eth0 10.0.2.15, announced as 198.51.100.7", 1500},
		"announced, mapped":             {vagrant(), Options{PublicIP: netip.AddrFrom16(public.As16())}, "10.0.2.15", "eth0 10.0.2.15, announced as 198.51.100.7", 1500},
		"of no interface":               {vagrant(), Options{}, "192.0.2.1", "", 0},
		"of an interface that is down":  {vagrant(), Options{}, "192.168.57.10", "", 0},
		"was on a card that went down":  {down, Options{}, "10.1.0.2", "", 0},
		"of the overlay device":         {vagrant(), Options{}, "10.244.7.0", "", 0},
		"on lo":                         {routed(), Options{}, "10.255.0.1", "eth1 10.255.0.1", 1500},
		"on lo, without a route":        {bare, Options{}, "10.255.0.1", "lo 10.255.0.1", 65536},
		"on lo, announced, no route":    {bare, Options{PublicIP: public}, "10.255.0.1", "lo 10.255.0.1, announced as 198.51.100.7", 65536},
		"on lo, mapped, no route":       {bare, Options{PublicIP: netip.AddrFrom16(public.As16())}, "10.255.0.1", "lo 10.255.0.1, announced as 198.51.100.7", 65536},
		"on a dummy, without a route":   {bare, Options{}, "10.255.0.2", "dummy0 10.255.0.2", 1400},
	} {
		c.o.Device = "flannel0"
		u, ok := at(c.h, c.o, netip.MustParseAddr(c.addr))
		if ok != (c.want != "") || ok && (u.String() != c.want || u.MTU != c.mtu) {
			t.Errorf("%s: got %v, MTU %d, %t; want %q, %d", name, u, u.MTU, ok, c.want, c.mtu)
		}
	}
}

// A host with hundreds of addresses tries only some.
func TestOthersAreFew(t *testing.T) {
	h := vagrant()
	for i := range 100 {
		h.interfaces[2].addrs = append(h.interfaces[2].addrs, addrs(fmt.Sprintf("192.168.60.%d/24", i+1))...)
	}
	found := others(h, Options{Device: "flannel0", Iface: []string{"eth1"}}, netip.MustParseAddr("10.0.2.15"), nil, nil)
	if len(found) != maxOthers {
		t.Errorf("%d others", len(found))
	}
	if slices.ContainsFunc(found, func(u Underlay) bool { return u.Addr.IsLinkLocalUnicast() }) {
		t.Errorf("a link-local address comes before better ones: %v", found)
	}
}

// What a target cannot be reached by says nothing about the others.
func TestTargetsWithoutARouteArePassedOver(t *testing.T) {
	h := vagrant()
	h.routes = nil
	target := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, last}) }
	reach := func(to netip.Addr) (route, error) {
		switch to.As4()[3] {
		case 1:
			return route{}, errors.New("no route")
		case 2:
			return route{index: 99}, nil // a device that has gone meanwhile
		case 3:
			return route{index: 6}, nil // by the overlay
		case 4:
			return route{index: 1}, nil // this host itself
		case 5:
			return route{index: 4}, nil // a device without an address, and down
		case 6:
			return route{index: 3, src: netip.MustParseAddr("10.9.9.9")}, nil // a source that no interface has
		}
		return route{index: 2}, nil
	}
	for name, c := range map[string]struct {
		targets []netip.Addr
		want    string
	}{
		"nothing":        {nil, ""},
		"none":           {[]netip.Addr{target(1), target(2), target(3), target(4), target(5)}, ""},
		"the last":       {[]netip.Addr{target(1), target(2), target(3), target(4), target(5), target(7)}, "10.0.2.15"},
		"twice":          {[]netip.Addr{target(7), target(8)}, "10.0.2.15"},
		"without theirs": {[]netip.Addr{target(6)}, "192.168.56.10 192.168.56.11 169.254.3.4"},
	} {
		var got []string
		for _, u := range others(h, Options{Device: "flannel0"}, netip.Addr{}, c.targets, reach) {
			got = append(got, u.Addr.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
	o := Options{Device: "flannel0", CanReach: target(1)}
	if found := others(vagrant(), o, netip.Addr{}, nil, reach); len(found) != 0 {
		t.Errorf("what --iface-can-reach cannot reach: %v", found)
	}
}

// A loopback address is reached by no other node, and a route to this host
// itself leads to none.
func TestOthersAreReachedByOtherNodes(t *testing.T) {
	if found := others(vagrant(), Options{Device: "flannel0", Iface: []string{"lo"}}, netip.Addr{}, nil, nil); len(found) != 0 {
		t.Errorf("of lo: %v", found)
	}
	h := routed()
	h.routes = []route{{dst: netip.MustParsePrefix("10.0.0.0/8"), index: 2, gateway: true}}
	self := func(netip.Addr) (route, error) { return route{index: 1}, nil }
	if found := others(h, Options{Device: "flannel0"}, netip.Addr{}, []netip.Addr{netip.MustParseAddr("10.255.0.1")}, self); len(found) != 0 {
		t.Errorf("by a route to this host: %v", found)
	}
}

// An address on lo needs a way out, and a bridge of containers is none.
func TestBridgesLeadToNoOtherNode(t *testing.T) {
	h := routed()
	h.interfaces[1].bridge = true
	h.routes = []route{{dst: netip.MustParsePrefix("172.17.0.0/16"), index: 2}}
	o := Options{Device: "flannel0", Iface: []string{"10.255.0.1"}}
	if u, err := choose(h, o, nil); !errors.Is(err, ErrNotYet) || !strings.Contains(err.Error(), "no route leads from 10.255.0.1 on lo") {
		t.Errorf("got %v, %v", u, err)
	}
	h.routes[0].dst = netip.MustParsePrefix("0.0.0.0/0") // the underlay may be a bridge
	if u, err := choose(h, o, nil); err != nil || u.Interface != "eth0" {
		t.Errorf("got %v, %v", u, err)
	}
}

// The kernel lends an address of lo to an interface without one, but none of
// 127.0.0.0/8.
func TestLoopbackAddressIsNotLent(t *testing.T) {
	h := routed()
	h.interfaces = []iface{h.interfaces[0], h.interfaces[2]}
	h.interfaces[0].addrs = addrs("127.0.0.1/8")
	h.routes = []route{{dst: netip.MustParsePrefix("0.0.0.0/0"), index: 3}}
	if u, err := choose(h, Options{}, nil); !errors.Is(err, ErrNotYet) || !strings.Contains(err.Error(), "eth1 has no IPv4 address") {
		t.Errorf("got %v, %v", u, err)
	}
	h.interfaces[0].up, h.interfaces[0].addrs = false, addrs("127.0.0.1/8", "10.255.0.1/32")
	if u, err := choose(h, Options{}, nil); err == nil {
		t.Errorf("lent by an interface that is down: %v", u)
	}
}

// drawHost makes a host of a few devices, and some are odd.
func drawHost(t *rapid.T) host {
	var h host
	for i := range rapid.IntRange(0, 5).Draw(t, "interfaces") {
		f := iface{name: rapid.SampledFrom([]string{"lo", "eth0", "eth1", "flannel0", "dummy0"}).Draw(t, "name") + fmt.Sprint(i), index: i + 1,
			mtu: rapid.IntRange(68, 9000).Draw(t, "mtu"), up: rapid.Bool().Draw(t, "up")}
		f.loopback, f.dummy = strings.HasPrefix(f.name, "lo"), strings.HasPrefix(f.name, "dummy")
		if strings.HasPrefix(f.name, "flannel0") {
			f.name = "flannel0"
		}
		for range rapid.IntRange(0, 3).Draw(t, "addresses") {
			f.addrs = append(f.addrs, addrs(rapid.SampledFrom([]string{
				"127.0.0.1/8", "10.0.2.15/24", "169.254.3.4/16", "192.168.1.9/32", "10.244.7.0/32"}).Draw(t, "address"))...)
		}
		h.interfaces = append(h.interfaces, f)
	}
	for range rapid.IntRange(0, 4).Draw(t, "routes") {
		h.routes = append(h.routes, route{
			dst:   netip.MustParsePrefix(rapid.SampledFrom([]string{"0.0.0.0/0", "10.0.0.0/8"}).Draw(t, "to")),
			index: rapid.IntRange(0, 6).Draw(t, "by"), metric: rapid.IntRange(0, 3).Draw(t, "metric"),
			down: rapid.Bool().Draw(t, "down"), nowhere: rapid.IntRange(0, 9).Draw(t, "nowhere") == 0,
		})
	}
	return h
}

// Whatever the host is like: an underlay has an address of an interface that is
// up, leaves by a device that exists, and is never the overlay. What is chosen
// is not among the others, and is found again by its address.
func TestUnderlayIsNeverTheOverlay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHost(t)
		o := rapid.SampledFrom([]Options{
			{}, {Iface: []string{"eth00", "10.0.2.15", "lo0"}}, {IfaceRegex: []string{"."}}, {CanReach: netip.MustParseAddr("10.1.1.1")},
		}).Draw(t, "options")
		o.Device = "flannel0"
		r := route{index: rapid.IntRange(0, 6).Draw(t, "reach")}
		reach := func(netip.Addr) (route, error) { return r, nil }
		u, err := choose(h, o, reach)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Fatalf("an error of several lines: %v", err)
			}
			return
		}
		by := h.byIndex(u.Index)
		if by == nil || by.name != u.Interface || u.Interface == "flannel0" || u.MTU != by.mtu || h.holder(u.Addr, "flannel0") == nil {
			t.Fatalf("got %+v", u)
		}
		for _, other := range others(h, o, u.Addr, []netip.Addr{netip.MustParseAddr("10.9.9.9")}, reach) {
			if other.Addr == u.Addr || other.Interface == "flannel0" || h.holder(other.Addr, "flannel0") == nil {
				t.Fatalf("chosen %v, and another is %v", u, other)
			}
		}
		if again, ok := at(h, o, u.Addr); !ok || again.Addr != u.Addr {
			t.Fatalf("%v is not found again: %v, %t", u, again, ok)
		}
	})
}
