// SPDX-License-Identifier: Apache-2.0

package underlay

import (
	"net/netip"
	"strings"
	"testing"
)

func TestNetworkMustNotOverlapTheHosts(t *testing.T) {
	network := netip.MustParsePrefix("10.244.0.0/16")
	lease := netip.MustParsePrefix("10.244.7.0/24")
	routeOn := func(dst string, index int) func(*host) {
		return func(h *host) { h.routes = append(h.routes, route{dst: netip.MustParsePrefix(dst), index: index}) }
	}
	nowhere := func(dst string) func(*host) {
		return func(h *host) { h.routes = append(h.routes, route{dst: netip.MustParsePrefix(dst), nowhere: true}) }
	}
	device := func(f iface) func(*host) {
		return func(h *host) { h.interfaces = append(h.interfaces, f) }
	}
	docker := iface{name: "docker0", index: 9, bridge: true, addrs: addrs("10.244.7.1/24")}
	without := func(h *host) { h.interfaces = h.interfaces[:len(h.interfaces)-1] } // flannel0

	for name, c := range map[string]struct {
		change []func(*host)
		ours   []netip.Prefix
		says   string // "": accepted
	}{
		"nothing there":            {nil, nil, ""},
		"route inside":             {[]func(*host){routeOn("10.244.3.0/24", 3)}, nil, "route to 10.244.3.0/24 (eth1)"},
		"route around":             {[]func(*host){routeOn("10.0.0.0/8", 3)}, nil, "route to 10.0.0.0/8 (eth1)"},
		"the same route":           {[]func(*host){routeOn("10.244.0.0/16", 3)}, nil, "(eth1)"},
		"own route":                {[]func(*host){routeOn("10.244.0.0/16", 6)}, nil, ""},
		"halves of a VPN":          {[]func(*host){routeOn("0.0.0.0/1", 3), routeOn("128.0.0.0/1", 3)}, nil, ""},
		"unreachable around":       {[]func(*host){nowhere("10.0.0.0/8")}, nil, ""},
		"unreachable inside":       {[]func(*host){nowhere("10.244.3.0/24")}, nil, "route to 10.244.3.0/24 (no device)"},
		"address inside":           {[]func(*host){device(iface{name: "br0", index: 9, addrs: addrs("10.244.3.1/24")})}, nil, "address 10.244.3.1/24 of br0"},
		"address around":           {[]func(*host){device(iface{name: "br0", index: 9, addrs: addrs("10.1.2.3/8")})}, nil, "address 10.1.2.3/8 of br0"},
		"own containers' bridge":   {[]func(*host){device(docker), routeOn("10.244.7.0/24", 9)}, nil, ""},
		"bridge, device is gone":   {[]func(*host){without, device(docker)}, nil, "address 10.244.7.1/24 of docker0"},
		"bridge, lease is known":   {[]func(*host){without, device(docker), routeOn("10.244.7.0/24", 9)}, []netip.Prefix{lease}, ""},
		"bridge of a former lease": {[]func(*host){device(iface{name: "docker0", index: 9, bridge: true, addrs: addrs("10.244.3.1/24")})}, nil, "docker0"},
		"port in our lease":        {[]func(*host){device(iface{name: "eth9", index: 9, addrs: addrs("10.244.7.1/24")})}, nil, "eth9"},
		"bridge wider than lease":  {[]func(*host){without, device(iface{name: "docker0", index: 9, bridge: true, addrs: addrs("10.244.7.1/20")})}, []netip.Prefix{lease}, "docker0"},
	} {
		h := vagrant()
		for _, change := range c.change {
			change(&h)
		}
		found := overlaps(h, network, "flannel0", c.ours)
		switch {
		case c.says == "" && len(found) > 0:
			t.Errorf("%s: %+v", name, found)
		case c.says != "" && (len(found) == 0 || !strings.Contains(found[0].What, c.says) || found[0].Remedy == ""):
			t.Errorf("%s: got %+v, want %q in it", name, found, c.says)
		case len(found) > 0 && found[0].Shadowed:
			t.Errorf("%s: %q is taken for a route that ours beats", name, found[0].What)
		}
	}
}

func TestNetworkMustNotOverlapTheUnderlay(t *testing.T) {
	found := overlaps(vagrant(), netip.MustParsePrefix("192.168.0.0/16"), "flannel0", nil)
	if len(found) == 0 || !strings.Contains(found[0].What, "eth1") {
		t.Errorf("got %+v", found)
	}
}

// The kernel prefers the longer route, which is the overlay's.
func TestWiderRouteThroughARouterIsShadowed(t *testing.T) {
	network := netip.MustParsePrefix("10.244.0.0/16")
	for dst, shadowed := range map[string]bool{
		"10.0.0.0/8": true, "10.128.0.0/9": true, "10.244.0.0/15": true, "8.0.0.0/5": true,
		"10.244.0.0/16": false, "10.244.128.0/17": false, "10.244.7.9/32": false,
	} {
		h := vagrant()
		h.routes = append(h.routes, route{dst: netip.MustParsePrefix(dst), index: 3, gateway: true})
		found := overlaps(h, network, "flannel0", nil)
		if len(found) != 1 || found[0].Shadowed != shadowed || !strings.Contains(found[0].What, dst) {
			t.Errorf("%s: got %+v, want shadowed %t", dst, found, shadowed)
		}
	}
}

func TestEqualRouteOfGreaterMetricIsShadowed(t *testing.T) {
	network := netip.MustParsePrefix("10.244.0.0/16")
	for metric, shadowed := range map[int]bool{0: false, 100: true} {
		h := vagrant()
		h.routes = append(h.routes, route{dst: network, index: 3, gateway: true, metric: metric})
		if found := overlaps(h, network, "flannel0", nil); len(found) != 1 || found[0].Shadowed != shadowed {
			t.Errorf("metric %d: got %+v", metric, found)
		}
	}
}

func TestNextHopsOfARouteAreOneOverlap(t *testing.T) {
	h := vagrant()
	for range 2 {
		h.routes = append(h.routes, route{dst: netip.MustParsePrefix("10.0.0.0/8"), index: 3, gateway: true})
	}
	if found := overlaps(h, netip.MustParsePrefix("10.244.0.0/16"), "flannel0", nil); len(found) != 1 {
		t.Errorf("got %+v", found)
	}
}
