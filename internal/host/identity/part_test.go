// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"net/netip"
	"testing"
)

func TestConfigIsRefusedWhenTheRulesWouldMeanSomethingElse(t *testing.T) {
	good := Config{Network: netip.MustParsePrefix("10.244.0.0/16"), Lease: netip.MustParsePrefix("10.244.7.0/24"), Device: "flannel0"}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no network":        func(c *Config) { c.Network = netip.Prefix{} },
		"network of IPv6":   func(c *Config) { c.Network = netip.MustParsePrefix("fd00::/64") },
		"network with host": func(c *Config) { c.Network = netip.MustParsePrefix("10.244.1.0/16") },
		"no lease":          func(c *Config) { c.Lease = netip.Prefix{} },
		"lease outside":     func(c *Config) { c.Lease = netip.MustParsePrefix("10.245.7.0/24") },
		"lease above":       func(c *Config) { c.Lease = netip.MustParsePrefix("10.0.0.0/8") },
		"lease with host":   func(c *Config) { c.Lease = netip.MustParsePrefix("10.244.7.1/24") },
		"no device":         func(c *Config) { c.Device = "" },
		"long device":       func(c *Config) { c.Device = "flannel012345678" },
		"tunnel":            func(c *Config) { c.Tunnels = []string{"a/b"} },
		"underlay":          func(c *Config) { c.Direct = "eth 0" },
	} {
		c := good
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted %+v", name, c)
		}
		p := NewPart("flannel0")
		p.Want(&c)
		if _, err := p.Ensure(t.Context()); err == nil || p.InPlace() {
			t.Errorf("%s: put in place, %v", name, err)
		}
	}
}

func TestPartWithoutALeaseDoesNothing(t *testing.T) {
	p := NewPart("flannel0")
	if changes, err := p.Ensure(t.Context()); err != nil || changes != nil || p.InPlace() || p.Unavailable() != "" {
		t.Errorf("Ensure: %q, %v", changes, err)
	}
	if wrong, err := p.Check(t.Context()); err != nil || wrong != nil {
		t.Errorf("Check: %q, %v", wrong, err)
	}
	if p.Name() != "addresses" || p.Device() != "flannel0" {
		t.Errorf("%s of %s", p.Name(), p.Device())
	}
}
