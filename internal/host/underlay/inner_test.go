// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// routed is a host with routing on it: its address is on lo, and two links
// without addresses of the underlay lead to the routers.
func routed() host {
	lo := append(addrs("127.0.0.1/8"), addrs("10.255.0.1/32")...)
	return host{
		interfaces: []iface{
			{name: "lo", index: 1, mtu: 65536, up: true, loopback: true, addrs: lo},
			{name: "eth0", altnames: []string{"enp3s0"}, index: 2, mtu: 9000, up: true, addrs: addrs("10.1.0.2/31")},
			{name: "eth1", index: 3, mtu: 1500, up: true},
			{name: "dummy0", index: 4, mtu: 1400, up: true, dummy: true, addrs: addrs("10.255.0.2/32")},
			{name: "flannel0", index: 6, mtu: 1472, up: true, addrs: addrs("10.244.7.0/32")},
		},
		routes: []route{
			{dst: netip.MustParsePrefix("0.0.0.0/0"), index: 2, metric: 20, src: netip.MustParseAddr("10.255.0.1"), gateway: true},
			{dst: netip.MustParsePrefix("0.0.0.0/0"), index: 3, metric: 20, src: netip.MustParseAddr("10.255.0.1"), gateway: true},
		},
	}
}

func TestAddressIsAnAddressWhereverItIs(t *testing.T) {
	unnumbered := routed()
	unnumbered.routes = []route{{dst: netip.MustParsePrefix("0.0.0.0/0"), index: 3}}
	specific := routed()
	specific.routes = []route{
		{dst: netip.MustParsePrefix("10.255.0.9/32"), index: 2, gateway: true},
		{dst: netip.MustParsePrefix("172.17.0.0/16"), index: 5},
	}
	for name, c := range map[string]struct {
		h    host
		o    Options
		want string
		mtu  int
	}{
		"source of the default route":      {routed(), Options{}, "eth0 10.255.0.1", 9000},
		"address on lo":                    {routed(), Options{Iface: []string{"10.255.0.1"}}, "eth1 10.255.0.1", 1500},
		"lo by name":                       {routed(), Options{Iface: []string{"lo"}}, "eth1 10.255.0.1", 1500},
		"address on lo by expression":      {routed(), Options{IfaceRegex: []string{`^10\.255\.0\.1$`}}, "eth1 10.255.0.1", 1500},
		"address on a dummy":               {routed(), Options{Iface: []string{"dummy0"}}, "eth1 10.255.0.2", 1500},
		"source of the way to a host":      {routed(), Options{CanReach: netip.MustParseAddr("10.255.0.9")}, "eth0 10.255.0.1", 9000},
		"alternative name":                 {routed(), Options{Iface: []string{"enp3s0"}}, "eth0 10.1.0.2", 9000},
		"alternative name by expression":   {routed(), Options{IfaceRegex: []string{"^enp"}}, "eth0 10.1.0.2", 9000},
		"link without an address":          {unnumbered, Options{}, "eth1 10.255.0.1", 1500},
		"no default route, others lead on": {specific, Options{Iface: []string{"10.255.0.1"}}, "eth0 10.255.0.1", 9000},
		"127/8 stays on lo":                {routed(), Options{Iface: []string{"127.0.0.1"}}, "lo 127.0.0.1", 65536},
	} {
		c.o.Device = "flannel0"
		u, err := choose(c.h, c.o, func(netip.Addr) (route, error) {
			return route{index: 2, src: netip.MustParseAddr("10.255.0.1")}, nil
		})
		if err != nil || u.String() != c.want || u.MTU != c.mtu {
			t.Errorf("%s: got %v, MTU %d, %v; want %s, %d", name, u, u.MTU, err, c.want, c.mtu)
		}
	}
}

// Only what a change of the settings alone can mend may end the daemon.
func TestWhatTimeMendsIsToldFromWhatItDoesNot(t *testing.T) {
	bare := routed()
	bare.routes = nil
	down := routed()
	down.interfaces[1].up = false
	gone := errors.New("no route")
	for name, c := range map[string]struct {
		h      host
		o      Options
		reach  error
		notYet bool
	}{
		"no interface of that name":    {routed(), Options{Iface: []string{"eth9"}}, nil, true},
		"no interface has the address": {routed(), Options{Iface: []string{"192.0.2.9"}}, nil, true},
		"nothing matches":              {routed(), Options{IfaceRegex: []string{"^wlan"}}, nil, true},
		"interface is down":            {down, Options{Iface: []string{"eth0"}}, nil, true},
		"no default route":             {bare, Options{}, nil, true},
		"no interface at all":          {host{}, Options{}, nil, true},
		"no way from the address":      {bare, Options{Iface: []string{"10.255.0.1"}}, nil, true},
		"no route to the host":         {routed(), Options{CanReach: netip.MustParseAddr("192.0.2.9")}, gone, true},
		"the overlay device":           {routed(), Options{Iface: []string{"flannel0"}}, nil, false},
		"no expression":                {routed(), Options{IfaceRegex: []string{"("}}, nil, false},
		"public address of no host":    {routed(), Options{PublicIP: netip.MustParseAddr("224.0.0.1")}, nil, false},
		"reaches this host itself":     {routed(), Options{CanReach: netip.MustParseAddr("10.255.0.1")}, nil, false},
	} {
		c.o.Device = "flannel0"
		_, err := choose(c.h, c.o, func(netip.Addr) (route, error) { return route{index: 1}, c.reach })
		if err == nil || errors.Is(err, ErrNotYet) != c.notYet {
			t.Errorf("%s: got %v, ErrNotYet %t", name, err, errors.Is(err, ErrNotYet))
		}
	}
}

func TestWorseDefaultRoutesWaitForTheOnlyOne(t *testing.T) {
	h := host{interfaces: []iface{
		{name: "veth1", index: 1, mtu: 1500, up: true, addrs: addrs("169.254.9.9/16")},
		{name: "eth0", index: 2, mtu: 1500, up: true, addrs: addrs("192.168.1.9/24")},
		{name: "wlan0", index: 3, mtu: 1500, up: true, addrs: addrs("192.168.2.9/24")},
		{name: "eth1", index: 4, mtu: 1500, up: true},
	}}
	by := func(index, metric int, down bool) route {
		return route{dst: netip.MustParsePrefix("0.0.0.0/0"), index: index, metric: metric, down: down}
	}
	for name, c := range map[string]struct {
		routes []route
		want   string
	}{
		"link-local of lower metric": {[]route{by(1, 5, false), by(2, 205, false)}, "eth0 192.168.1.9"},
		"link-local alone":           {[]route{by(1, 5, false)}, "veth1 169.254.9.9"},
		"no carrier":                 {[]route{by(2, 5, true), by(3, 600, false)}, "wlan0 192.168.2.9"},
		"no carrier anywhere":        {[]route{by(3, 600, true), by(2, 5, true)}, "eth0 192.168.1.9"},
		"link without an address":    {[]route{by(4, 1, false), by(3, 600, false)}, "wlan0 192.168.2.9"},
		"no carrier, or link-local":  {[]route{by(2, 5, true), by(1, 1, false)}, "eth0 192.168.1.9"},
		"by metric":                  {[]route{by(3, 600, false), by(2, 5, false)}, "eth0 192.168.1.9"},
	} {
		h.routes = c.routes
		if u, err := choose(h, Options{}, nil); err != nil || u.String() != c.want {
			t.Errorf("%s: got %v, %v; want %s", name, u, err, c.want)
		}
	}
}

func TestPreferredAddressIsKept(t *testing.T) {
	f := iface{name: "eth0", index: 1, mtu: 1500, up: true,
		addrs: addrs("192.168.1.100/32", "192.168.1.9/24", "10.9.9.9/24", "169.254.1.1/16")}
	for prefer, want := range map[string]string{
		"":            "192.168.1.9", // not the single one, which may move to another host
		"10.9.9.9":    "10.9.9.9",
		"192.0.2.1":   "192.168.1.9",
		"169.254.1.1": "192.168.1.9",
	} {
		o := Options{Iface: []string{"eth0"}}
		if prefer != "" {
			o.Prefer = netip.MustParseAddr(prefer)
		}
		if u, err := choose(host{interfaces: []iface{f}}, o, nil); err != nil || u.Addr.String() != want {
			t.Errorf("prefer %q: got %v, %v; want %s", prefer, u, err, want)
		}
	}
}

func TestOthersAreWhatTheOptionsAllow(t *testing.T) {
	h := vagrant()
	reach := func(netip.Addr) (route, error) {
		return route{index: 3, src: netip.MustParseAddr("192.168.56.11")}, nil
	}
	for name, c := range map[string]struct {
		o    Options
		here string
		want string
	}{
		"routes to the targets, then default routes": {Options{}, "10.0.2.15", "192.168.56.11 192.168.56.10 169.254.3.4"},
		"not the one in use":                         {Options{}, "192.168.56.11", "10.0.2.15 192.168.56.10 169.254.3.4"},
		"named interfaces only":                      {Options{Iface: []string{"eth0"}}, "10.0.2.15", ""},
		"further addresses of the named":             {Options{Iface: []string{"eth1"}}, "192.168.56.10", "192.168.56.11 169.254.3.4"},
		"named address":                              {Options{Iface: []string{"192.168.56.11", "eth0"}}, "10.0.2.15", "192.168.56.11"},
		"by expression":                              {Options{IfaceRegex: []string{`\.1[05]$`}}, "10.0.2.15", "192.168.56.10"},
		"by what it reaches":                         {Options{CanReach: netip.MustParseAddr("192.168.56.1")}, "10.0.2.15", "192.168.56.11"},
	} {
		c.o.Device = "flannel0"
		var got []string
		for _, u := range others(h, c.o, netip.MustParseAddr(c.here), []netip.Addr{netip.MustParseAddr("192.168.56.77")}, reach) {
			got = append(got, u.Addr.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
}
