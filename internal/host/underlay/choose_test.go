// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func addrs(prefixes ...string) (all []ifaceAddr) {
	for _, p := range prefixes {
		all = append(all, ifaceAddr{prefix: netip.MustParsePrefix(p)})
	}
	return all
}

// vagrant is the host that people complain about: the default route is on the
// network that all virtual machines have in common, with the same address.
func vagrant() host {
	return host{
		interfaces: []iface{
			{name: "lo", index: 1, mtu: 65536, up: true, loopback: true, addrs: addrs("127.0.0.1/8")},
			{name: "eth0", index: 2, mtu: 1500, up: true, addrs: addrs("10.0.2.15/24")},
			{name: "eth1", index: 3, mtu: 9000, up: true, addrs: append(addrs("169.254.3.4/16", "192.168.56.10/24"), ifaceAddr{prefix: netip.MustParsePrefix("192.168.56.11/24"), secondary: true})},
			{name: "eth2", index: 4, mtu: 1500},
			{name: "eth3", index: 5, mtu: 1500, addrs: addrs("192.168.57.10/24")},
			{name: "flannel0", index: 6, mtu: 1472, up: true, addrs: addrs("10.244.7.0/32")},
		},
		routes: []route{
			{dst: netip.MustParsePrefix("0.0.0.0/0"), index: 3, metric: 200},
			{dst: netip.MustParsePrefix("0.0.0.0/0"), index: 2, metric: 100},
			{dst: netip.MustParsePrefix("0.0.0.0/0"), index: 6},
			{dst: netip.MustParsePrefix("0.0.0.0/0"), metric: 0, nowhere: true},
			{dst: netip.MustParsePrefix("10.0.2.0/24"), index: 2},
		},
	}
}

func TestUnderlayIsTheOneAskedFor(t *testing.T) {
	public := netip.MustParseAddr("198.51.100.7")
	for name, c := range map[string]struct {
		o         Options
		name      string
		addr, pub string
	}{
		"default route of lowest metric": {Options{}, "eth0", "10.0.2.15", ""},
		"by name":                        {Options{Iface: []string{"eth1"}}, "eth1", "192.168.56.10", ""},
		"by address":                     {Options{Iface: []string{"192.168.56.11"}}, "eth1", "192.168.56.11", ""},
		"first that is there":            {Options{Iface: []string{"eth9", "eth1", "eth0"}}, "eth1", "192.168.56.10", ""},
		"loopback when named":            {Options{Iface: []string{"lo"}}, "lo", "127.0.0.1", ""},
		"name by expression":             {Options{IfaceRegex: []string{"^eth[1-9]$"}}, "eth1", "192.168.56.10", ""},
		"address by expression":          {Options{IfaceRegex: []string{`^192\.168\.`}}, "eth1", "192.168.56.10", ""},
		"name before expression":         {Options{Iface: []string{"eth0"}, IfaceRegex: []string{"eth1"}}, "eth0", "10.0.2.15", ""},
		"expression after name":          {Options{Iface: []string{"eth9"}, IfaceRegex: []string{"eth1"}}, "eth1", "192.168.56.10", ""},
		"expression spares loopback":     {Options{IfaceRegex: []string{"."}}, "eth0", "10.0.2.15", ""},
		"can reach":                      {Options{CanReach: netip.MustParseAddr("192.168.56.1")}, "eth1", "192.168.56.11", ""},
		"public address":                 {Options{PublicIP: public}, "eth0", "10.0.2.15", "198.51.100.7"},
		"public loopback on loopback":    {Options{Iface: []string{"lo"}, PublicIP: netip.MustParseAddr("127.0.0.9")}, "lo", "127.0.0.1", "127.0.0.9"},
	} {
		c.o.Device = "flannel0"
		u, err := choose(vagrant(), c.o, func(netip.Addr) (route, error) {
			return route{index: 3, src: netip.MustParseAddr("192.168.56.11")}, nil
		})
		if c.pub == "" {
			c.pub = c.addr
		}
		if err != nil || u.Interface != c.name || u.Addr.String() != c.addr || u.PublicAddr.String() != c.pub {
			t.Errorf("%s: got %v, %v; want %s %s", name, u, err, c.name, c.addr)
		}
		if f := vagrant().byIndex(u.Index); err == nil && (f == nil || f.mtu != u.MTU) {
			t.Errorf("%s: index %d, MTU %d", name, u.Index, u.MTU)
		}
	}
}

func TestErrorSaysWhatThereIs(t *testing.T) {
	noDefault := vagrant()
	noDefault.routes = noDefault.routes[2:] // the overlay's own and one that leads nowhere
	for name, c := range map[string]struct {
		h    host
		o    Options
		says string
	}{
		"unknown":              {vagrant(), Options{Iface: []string{"wlan0"}}, `no interface fits --iface ["wlan0"]: there is lo (127.0.0.1), eth0 (10.0.2.15), eth1 (169.254.3.4 192.168.56.10 192.168.56.11), eth2 (no IPv4 address), eth3 (192.168.57.10, down)`},
		"no match":             {vagrant(), Options{IfaceRegex: []string{"wlan"}}, "--iface-regex"},
		"bad expression":       {vagrant(), Options{IfaceRegex: []string{"("}}, "no regular expression"},
		"device itself":        {vagrant(), Options{Iface: []string{"flannel0"}}, "no interface fits"},
		"device's address":     {vagrant(), Options{Iface: []string{"10.244.7.0"}}, "no interface fits"},
		"no address":           {vagrant(), Options{Iface: []string{"eth2"}}, "eth2 is down"},
		"down":                 {vagrant(), Options{Iface: []string{"eth3"}}, "eth3 is down"},
		"no default route":     {noDefault, Options{}, "no default route"},
		"nothing there":        {host{}, Options{}, "this host has no interface"},
		"public IPv6":          {vagrant(), Options{PublicIP: netip.MustParseAddr("2001:db8::1")}, "no IPv4 address"},
		"public loopback":      {vagrant(), Options{PublicIP: netip.MustParseAddr("127.0.0.1")}, "loopback"},
		"public multicast":     {vagrant(), Options{PublicIP: netip.MustParseAddr("224.0.0.1")}, "no address of a host"},
		"public broadcast":     {vagrant(), Options{PublicIP: netip.MustParseAddr("255.255.255.255")}, "no address of a host"},
		"reach this host":      {vagrant(), Options{CanReach: netip.MustParseAddr("10.0.2.15")}, "of this host itself"},
		"reach nothing":        {vagrant(), Options{CanReach: netip.MustParseAddr("192.0.2.1")}, "no route"},
		"reach in the overlay": {vagrant(), Options{CanReach: netip.MustParseAddr("10.244.9.2")}, "lies in the overlay"},
	} {
		c.o.Device = "flannel0"
		_, err := choose(c.h, c.o, func(to netip.Addr) (route, error) {
			switch to.String() {
			case "10.0.2.15":
				return route{index: 1}, nil
			case "10.244.9.2":
				return route{index: 6}, nil
			}
			return route{}, errors.New("no route")
		})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q in it", name, err, c.says)
		}
	}
}

func TestUnderlayInsideTheOverlayIsRefused(t *testing.T) {
	u := Underlay{Addr: netip.MustParseAddr("192.0.2.1"), PublicAddr: netip.MustParseAddr("10.244.1.1")}
	if u.Outside(netip.MustParsePrefix("10.244.0.0/16")) == nil || u.Outside(netip.MustParsePrefix("192.0.2.0/24")) == nil {
		t.Error("accepted")
	}
	if err := u.Outside(netip.MustParsePrefix("10.99.0.0/16")); err != nil {
		t.Error(err)
	}
}
