// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

func TestBadConfigurationIsAnErrorThatTouchesNothing(t *testing.T) {
	for what, edit := range map[string]func(*Config){
		"no state directory":     func(c *Config) { c.StateDir = "" },
		"no address":             func(c *Config) { c.Advertise = netip.Addr{} },
		"IPv6":                   func(c *Config) { c.Advertise = netip.IPv6Loopback() },
		"unspecified address":    func(c *Config) { c.Advertise = netip.IPv4Unspecified() },
		"IPv6 to bind":           func(c *Config) { c.Bind = netip.IPv6Loopback() },
		"no data port":           func(c *Config) { c.DataPort = 0 },
		"negative subnet length": func(c *Config) { c.SubnetLen = -1 },
		"long subnet length":     func(c *Config) { c.SubnetLen = 33 },
		"long name":              func(c *Config) { c.Name = strings.Repeat("n", maxNameLen+1) },
		"negative MTU":           func(c *Config) { c.MTU = -1 },
		"large MTU":              func(c *Config) { c.MTU = 1 << 16 },
		"negative TTL":           func(c *Config) { c.LeaseTTL = -time.Second },
		"seed":                   func(c *Config) { c.Join = []string{"no seed"} },
	} {
		h := newHost(t, edit)
		if err := openError(t, h); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
		if h.config.StateDir == "" {
			continue
		}
		if _, err := os.Stat(h.config.StateDir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the state directory was made", what)
		}
	}
}

func TestNetworkThatDoesNotFitEndsRun(t *testing.T) {
	t.Parallel()
	for what, edit := range map[string]func(*Config){
		"subnet length":   func(c *Config) { c.Network, c.SubnetLen = netip.MustParsePrefix("10.0.0.0/24"), 24 },
		"pin outside":     func(c *Config) { c.Subnet = netip.MustParsePrefix("10.9.0.0/24") },
		"foreign address": func(c *Config) { c.Bind = netip.MustParseAddr("192.0.2.1") },
	} {
		h := newHost(t, edit)
		h.start()
		if err := h.wait(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestNodeThatDoesNotRunAnswersRequests(t *testing.T) {
	h := newHost(t, nil)
	node, err := Open(h.config)
	if err != nil {
		t.Fatal(err)
	}
	if s := node.Snapshot(); s.Lease != Joining || !s.Self.Self || s.Self.ID.IsZero() {
		t.Errorf("%+v", s)
	}
	if _, err := node.Join(t.Context(), []string{"10.0.0.1"}); !errors.Is(err, ErrNotRunning) {
		t.Errorf("join: %v", err)
	}
	if _, err := node.Forget(t.Context(), "x"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("forget: %v", err)
	}
	if err := node.Leave(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("leave: %v", err)
	}
	for range 2 {
		if err := node.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if err := node.Run(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("run after close: %v", err)
	}
	h.start() // the directory is free again
	h.leased()
}
