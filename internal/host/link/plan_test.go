// SPDX-License-Identifier: Apache-2.0

package link

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// scopeLink is RT_SCOPE_LINK, as flannel and earlier versions have the route.
const scopeLink = 253

func testConfig() Config {
	return Config{
		Name:    "flannel0",
		Alias:   "flanneld 10.244.0.0/16",
		Addr:    netip.MustParseAddr("10.244.7.0"),
		MTU:     1472,
		Network: netip.MustParsePrefix("10.244.0.0/16"),
	}
}

// right is the state of a device as testConfig wants it.
func right() state {
	c := testConfig()
	return state{
		isTUN: true, kind: "tun", alias: c.Alias, up: true, mtu: c.MTU, txQueue: 500,
		addrs:  []netip.Prefix{netip.PrefixFrom(c.Addr, 32)},
		routes: []route{c.wantRoute()},
	}
}

func actions(steps []step) []action {
	var all []action
	for _, s := range steps {
		all = append(all, s.do)
	}
	return all
}

func TestPlanCorrectsWhatIsOff(t *testing.T) {
	stale := netip.MustParsePrefix("10.244.9.0/32")
	for name, c := range map[string]struct {
		change func(*state, *Config)
		want   []action
	}{
		"nothing":           {func(*state, *Config) {}, nil},
		"renamed":           {func(s *state, _ *Config) { s.renamed = "x" }, []action{setName, setUp, addRoute}},
		"fresh device":      {func(s *state, _ *Config) { *s = state{isTUN: true, ip6auto: true} }, []action{setIP6None, setAlias, setMTU, addAddr, setUp, addRoute}},
		"down":              {func(s *state, _ *Config) { s.up, s.routes = false, nil }, []action{setUp, addRoute}},
		"MTU":               {func(s *state, _ *Config) { s.mtu = 1500 }, []action{setMTU}},
		"transmit queue":    {func(_ *state, c *Config) { c.TxQueueLen = 1000 }, []action{setTxQueue}},
		"alias":             {func(s *state, _ *Config) { s.alias = "flanneld" }, []action{setAlias}},
		"route missing":     {func(s *state, _ *Config) { s.routes = nil }, []action{addRoute}},
		"route by hand":     {func(s *state, _ *Config) { s.routes[0].protocol = 3 }, []action{replaceRoute}},
		"route without src": {func(s *state, _ *Config) { s.routes[0].src = netip.Addr{} }, []action{replaceRoute}},
		"older network":     {func(s *state, _ *Config) { s.routes[0].dst = netip.MustParsePrefix("10.99.0.0/16") }, []action{addRoute, delRoute}},
		"older lease":       {func(s *state, _ *Config) { s.addrs[0], s.routes[0].src = stale, stale.Addr() }, []action{addAddr, replaceRoute, delAddr}},
		"two leases":        {func(s *state, _ *Config) { s.addrs = append(s.addrs, stale) }, []action{delAddr}},
		"broadcast address": {func(s *state, _ *Config) {
			s.earlier, s.routes = broadcast{"docker0", 7}, nil
		}, []action{delBroadcast, addRoute}},
		"operator's route": {func(s *state, _ *Config) {
			s.routes = append(s.routes, route{dst: netip.MustParsePrefix("10.50.0.0/16"), protocol: 3})
		}, nil},
		"operator's metric":   {func(s *state, _ *Config) { s.routes[0].metric, s.routes[0].protocol = 100, 3 }, []action{addRoute}},
		"address of IPv6":     {func(s *state, _ *Config) { s.addrs = append(s.addrs, netip.MustParsePrefix("fd00::1/64")) }, nil},
		"address as a subnet": {func(s *state, _ *Config) { s.addrs[0] = netip.MustParsePrefix("10.244.7.0/24") }, []action{addAddr, delAddr}},
	} {
		s, config := right(), testConfig()
		c.change(&s, &config)
		steps := plan(s, config)
		if got := actions(steps); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v (%q)", name, got, c.want, texts(steps))
		}
	}
}

func TestDeviceIsOursOnlyAsTUNWithTheAlias(t *testing.T) {
	for _, c := range []struct {
		s    state
		want Owner
	}{
		{state{isTUN: true, kind: "tun", alias: "flanneld"}, Ours},
		{state{isTUN: true, kind: "tun", alias: "flanneld 10.244.0.0/16"}, Ours},
		{state{isTUN: true, kind: "tun"}, Foreign},
		{state{isTUN: true, kind: "tun", alias: "openvpn"}, Foreign},
		{state{kind: "dummy", alias: "flanneld"}, Foreign},
	} {
		if got := c.s.owner(); got != c.want {
			t.Errorf("%+v is %v, want %v", c.s, got, c.want)
		}
		if text := c.s.describe(); !strings.Contains(text, c.s.kind) {
			t.Errorf("%q does not name the kind", text)
		}
	}
}

func TestConfigIsRefusedBeforeTheKernelIsAsked(t *testing.T) {
	if err := testConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no name":          func(c *Config) { c.Name = "" },
		"long name":        func(c *Config) { c.Name = "flannel012345678" },
		"name with slash":  func(c *Config) { c.Name = "a/b" },
		"name with format": func(c *Config) { c.Name = "tun%d" },
		"wildcard":         func(c *Config) { c.Name = "flannel+" },
		"dots":             func(c *Config) { c.Name = ".." },
		"option":           func(c *Config) { c.Name = "-j" },
		"letters":          func(c *Config) { c.Name = "flännel" },
		"foreign alias":    func(c *Config) { c.Alias = "other" },
		"long alias":       func(c *Config) { c.Alias = "flanneld" + strings.Repeat("x", 256) },
		"IPv6":             func(c *Config) { c.Addr = netip.MustParseAddr("fd00::") },
		"outside":          func(c *Config) { c.Addr = netip.MustParseAddr("10.245.0.0") },
		"no network":       func(c *Config) { c.Network = netip.Prefix{} },
		"host bits":        func(c *Config) { c.Network = netip.MustParsePrefix("10.244.1.0/16") },
		"MTU":              func(c *Config) { c.MTU = 67 },
	} {
		c := testConfig()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
