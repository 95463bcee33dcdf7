// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package firewall

import (
	"net/netip"
	"slices"
	"testing"

	"flanneld/internal/host/link/linktest"
)

// Whatever the operator has in DOCKER-USER, and wherever Docker's jump to it
// stands, flanneld's jump comes after it.
func TestOperatorsRulesInDockerUserComeFirst(t *testing.T) {
	const jump, other, drop rule = "-j FLANNELD-flannel0", "-j FLANNELD-flannel1", "-s 10.244.9.0/24 -j DROP"
	for name, c := range map[string]struct {
		operator []string // changes before and after flanneld's first look
		later    []string
		want     []rule
	}{
		"empty":               {nil, nil, []rule{jump}},
		"Docker's own return": {[]string{"-A DOCKER-USER -j RETURN"}, nil, []rule{jump, returns}},
		"appended before":     {[]string{"-A DOCKER-USER " + string(drop)}, nil, []rule{drop, jump}},
		"appended after":      {nil, []string{"-A DOCKER-USER " + string(drop)}, []rule{drop, jump}},
		"inserted after":      {nil, []string{"-I DOCKER-USER " + string(drop)}, []rule{drop, jump}},
		"before the return":   {[]string{"-A DOCKER-USER -j RETURN"}, []string{"-I DOCKER-USER " + string(drop)}, []rule{drop, jump, returns}},
		"after the return":    {[]string{"-A DOCKER-USER -j RETURN"}, []string{"-A DOCKER-USER " + string(drop)}, []rule{jump, returns, drop}},
		"everything dropped":  {nil, []string{"-A DOCKER-USER -j DROP"}, []rule{"-j DROP", jump}},
		"another flanneld":    {[]string{"-N FLANNELD-flannel1"}, []string{"-A DOCKER-USER -j FLANNELD-flannel1"}, []rule{jump, other}},
		"both and the operator": {[]string{"-N FLANNELD-flannel1", "-A DOCKER-USER -j FLANNELD-flannel1"},
			[]string{"-A DOCKER-USER " + string(drop)}, []rule{other, drop, jump}},
	} {
		t.Run(name, func(t *testing.T) {
			backends(t, func(t *testing.T) {
				linktest.Script(t, docker28)
				for _, change := range c.operator {
					linktest.Run(t, "iptables "+change)
				}
				f := newFirewall(t, testConfig("flannel0"))
				ensure(t, f)
				for _, change := range c.later {
					linktest.Run(t, "iptables "+change)
				}
				ensure(t, f)
				if got := chain(t, "filter", "DOCKER-USER"); !slices.Equal(got, c.want) {
					t.Errorf("DOCKER-USER: %q, want %q", got, c.want)
				}
			})
		})
	}
}

// What the operator drops stays dropped, and what no rule drops passes, also
// where another program's rules stand before Docker's.
func TestOperatorsDropHoldsForPackets(t *testing.T) {
	backends(t, func(t *testing.T) {
		hosts(t)
		linktest.Script(t, docker28)
		f := newFirewall(t, testConfig("flannel0"))
		arrived := func() bool {
			t.Helper()
			return send(t, "remote", "", "container", "10.244.7.2:53", "53", mustNotBy) == netip.MustParseAddr("10.244.9.2")
		}
		for _, first := range []string{"", "iptables -I FORWARD -i eth7 -j DROP"} {
			if first != "" {
				linktest.Run(t, first)
			}
			ensure(t, f)
			if !arrived() {
				t.Errorf("nothing arrives after %q\n%s", first, allRules(t))
			}
			linktest.Run(t, "iptables -A DOCKER-USER -s 10.244.9.2 -j DROP")
			for range 2 {
				ensure(t, f)
				if arrived() {
					t.Errorf("flanneld overtakes the operator's rule after %q\n%s", first, allRules(t))
				}
			}
			linktest.Run(t, "iptables -D DOCKER-USER -s 10.244.9.2 -j DROP")
		}
		// The documented place where there is no Docker.
		linktest.Run(t, "iptables -F FORWARD")
		linktest.Run(t, "iptables -t mangle -A FORWARD -i flannel0 -s 10.244.9.2 -j DROP")
		ensure(t, f)
		if arrived() {
			t.Error("a rule in mangle FORWARD has no effect")
		}
		linktest.Run(t, "iptables -t mangle -F FORWARD")
		if !arrived() {
			t.Error("nothing arrives after the rule in mangle FORWARD is gone")
		}
	})
}
