// SPDX-License-Identifier: Apache-2.0

//go:build e2e && linux

package ruleset

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flanneld/internal/host/link/linktest"
)

func TestMain(m *testing.M) { linktest.Main(m) }

// nft loads a rule set, which is taken away again with the test.
func nft(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	linktest.Run(t, "nft -f "+file)
	t.Cleanup(func() { linktest.Run(t, "nft flush ruleset") })
}

func blockedNow(t *testing.T) (flows string, all []Blocked) {
	t.Helper()
	all, err := BlockedFlows(t.Context(), testFlows, "flanneld-")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, b := range all {
		seen[b.Flow.Name] = true
	}
	var names []string
	for _, f := range testFlows {
		if seen[f.Name] {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, " "), all
}

// firewalld's chains as far as they decide, as firewalld 1.3 makes them. The
// word "type" is for the nft of Debian 11.
const firewalld = `table inet firewalld {
	chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		jump filter_INPUT_ZONES
		reject with icmpx type admin-prohibited
	}
	chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		ip6 daddr { ::/96, 2002:a9fe::/32 } reject with icmpv6 type addr-unreachable
		jump filter_FORWARD_ZONES
		reject with icmpx type admin-prohibited
	}
	chain filter_INPUT_ZONES {
		ip saddr 172.16.0.0/12 goto filter_IN_trusted
		iifname "eth0" goto filter_IN_public
		goto filter_IN_public
	}
	chain filter_IN_trusted { accept; }
	chain filter_IN_public {
		tcp dport 22 ct state { new, untracked } accept
		ip6 daddr fe80::/64 udp dport 546 ct state { new, untracked } accept
		meta l4proto { icmp, ipv6-icmp } accept
		EXTRA
	}
	chain filter_FORWARD_ZONES {
		FORWARD
		goto filter_FWD_public
	}
	chain filter_FWD_public { meta l4proto { icmp, ipv6-icmp } goto filter_FWD_icmp; }
	chain filter_FWD_icmp { return; }
	chain filter_FWD_trusted { accept; }
}
`

func TestRulesOfOtherProgramsAreJudged(t *testing.T) {
	base := func(body string) string { return "table inet x {\n" + body + "\n}\n" }
	forward := func(policy, rules string) string {
		return base("chain f { type filter hook forward priority 0; policy " + policy + ";\n" + rules + "\n}")
	}
	for name, c := range map[string]struct{ rules, want string }{
		"policy":          {forward("drop", ""), "in out"},
		"open":            {forward("accept", ""), ""},
		"established":     {forward("drop", "ct state established,related accept"), "in out"},
		"new":             {forward("drop", "ct state new accept"), ""},
		"by device":       {forward("drop", `iifname "flannel0" accept; oifname "flan*" accept`), ""},
		"by one device":   {forward("drop", `iifname { "docker0", "eth1" } accept`), "in"},
		"by address":      {forward("drop", "ip saddr 10.244.0.0/16 ip daddr 10.244.0.0/16 accept"), ""},
		"by /8":           {forward("accept", "ip daddr 10.0.0.0/8 reject"), "in out"},
		"part of it":      {forward("accept", "ip daddr 10.244.7.0/25 drop"), ""},
		"not the network": {forward("accept", "ip saddr != 10.244.0.0/16 drop"), ""},
		"verdict map":     {base("chain a { drop; }\nchain f { type filter hook forward priority 0; iifname vmap { \"flannel0\" : jump a, \"docker0\" : accept }; }"), "in"},
		"another family":  {"table ip6 x {\nchain f { type filter hook forward priority 0; policy drop; }\n}\n", ""},
		"an own table":    {"table ip flanneld-flannel1 {\nchain f { type filter hook forward priority 0; policy drop; }\n}\n", ""},
		"ports":           {base("chain i { type filter hook input priority 0; policy drop; udp dport 8285 accept; tcp dport { 22, 80 } accept; }"), "gossip"},
		"ports in a range": {base("chain i { type filter hook input priority 0; policy drop; ip protocol tcp accept; udp dport 8000-8285 accept; }"),
			""},
		"dropped ports in a range": {base("chain i { type filter hook input priority 0; udp dport 8000-8285 drop; }"), "data"},
		"a socket of a proxy": {base("chain p { type filter hook prerouting priority -150; policy drop; meta l4proto udp socket wildcard 0 accept; " +
			"meta l4proto tcp accept; }"), ""},
		"prerouting": {base("chain p { type filter hook prerouting priority -300; udp dport 8285 drop; }"), "data"},
		"firewalld":  {strings.NewReplacer("EXTRA", "", "FORWARD\n", "\n").Replace(firewalld), "in out"},
		"firewalld with its advice": {strings.NewReplacer("EXTRA", "udp dport 8285 accept; tcp dport 8286 accept", "FORWARD\n", "ip saddr 10.244.0.0/16 goto filter_FWD_trusted\n").
			Replace(firewalld), ""},
	} {
		t.Run(name, func(t *testing.T) {
			nft(t, c.rules)
			if got, all := blockedNow(t); got != c.want {
				t.Errorf("dropped %q, want %q: %+v\n%s", got, c.want, all, linktest.Run(t, "nft list ruleset"))
			}
		})
	}
}

// What a host lets pass by its loopback says nothing of other devices, also
// where the rule has the number of the device in it.
func TestDevicesByNumberAreJudged(t *testing.T) {
	linktest.Run(t, "ip link add flannel0 type veth peer name docker0")
	t.Cleanup(func() { linktest.Run(t, "ip link delete flannel0") })
	for rule, want := range map[string]string{
		"iif lo accept":                      "in out",
		"iif { lo, flannel0 } accept":        "out",
		"oif flannel0 accept":                "in",
		"iif flannel0 accept; iif lo accept": "out",
	} {
		t.Run(rule, func(t *testing.T) {
			nft(t, "table inet x {\nchain f { type filter hook forward priority 0; policy drop; "+rule+"; }\n}\n")
			if got, all := blockedNow(t); got != want {
				t.Errorf("dropped %q, want %q: %+v", got, want, all)
			}
		})
	}
}

// Both kinds of iptables, with rules in their own words.
func TestIPTablesRulesAreJudged(t *testing.T) {
	for _, kind := range []string{"iptables-nft", "iptables-legacy"} {
		t.Run(kind, func(t *testing.T) {
			t.Cleanup(func() {
				linktest.Script(t, kind+" -P FORWARD ACCEPT\n"+kind+" -P INPUT ACCEPT\n"+kind+" -F\n"+kind+" -X\n"+kind+" -t mangle -F\n")
				linktest.Run(t, "nft flush ruleset")
			})
			step := func(commands, want string) {
				t.Helper()
				linktest.Script(t, strings.ReplaceAll(commands, "IPT ", kind+" "))
				if got, all := blockedNow(t); got != want {
					t.Errorf("after %q: dropped %q, want %q: %+v", commands, got, want, all)
				}
			}
			step("IPT -P FORWARD DROP", "in out")
			step("IPT -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nIPT -A FORWARD -i docker0 -m comment --comment x -j ACCEPT", "in")
			step("IPT -A FORWARD -s 10.244.0.0/16 -d 10.244.7.0/24 -i flannel0 -j ACCEPT", "")
			step("IPT -t mangle -A FORWARD -o flannel0 -j DROP", "out")
			step("IPT -t mangle -F", "")
			step("IPT -P INPUT DROP\nIPT -A INPUT -p tcp -m tcp --dport 8286 -j ACCEPT", "data")
			step("IPT -A INPUT -p udp -m udp --sport 67 --dport 68 -j ACCEPT", "data")
			step("IPT -A INPUT -p udp -m multiport --dports 8285,8286 -j ACCEPT", "")
			step("IPT -I FORWARD -i flannel0 -j REJECT", "in")
		})
	}
}

// A change is reported with its chains and program, and fingerprints change.
func TestChangesAreTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, err := Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	before, err := Generation()
	if err != nil {
		t.Fatal(err)
	}
	nft(t, "table inet x {\nchain f { type filter hook forward priority 0; counter; }\n}\n")
	var c Change
	for end := time.Now().Add(5 * time.Second); c.Program == "" && time.Now().Before(end); {
		select {
		case <-w.Changed:
			c = w.Take()
		case <-time.After(time.Second):
		}
	}
	if c.Program != "nft" || !c.Touches(func(c Chain) bool { return c == Chain{FamilyInet, "x", "f"} }) {
		t.Errorf("told %+v", c)
	}
	if after, err := Generation(); err != nil || after == before {
		t.Errorf("generation %d, then %d, %v", before, after, err)
	}
	legacy, err := Legacy()
	if err != nil {
		t.Fatal(err)
	}
	linktest.Run(t, "iptables-legacy -t mangle -A FORWARD -j DROP")
	if after, err := Legacy(); err != nil || after == legacy {
		t.Errorf("legacy %q, then %q, %v", legacy, after, err)
	}
	linktest.Run(t, "iptables-legacy -t mangle -F")
	linktest.Run(t, "iptables-legacy -t mangle -P INPUT ACCEPT")
}
