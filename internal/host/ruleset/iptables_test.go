// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

var (
	overlay = netip.MustParsePrefix("10.244.0.0/16")
	lease   = netip.MustParsePrefix("10.244.7.0/24")
	own     = netip.MustParsePrefix("192.168.50.11/32")
)

// The flows of a host with the lease 10.244.7.0/24.
var testFlows = []Flow{
	{Name: "in", Hooks: []string{"prerouting", "forward"}, In: "flannel0", Out: "docker0", From: overlay, To: lease, Proto: 6},
	{Name: "out", Hooks: []string{"prerouting", "forward"}, In: "docker0", Out: "flannel0", From: lease, To: overlay, Proto: 6},
	{Name: "data", Hooks: []string{"prerouting", "input"}, In: "eth0", To: own, Proto: 17, Port: 8285},
	{Name: "gossip", Hooks: []string{"prerouting", "input"}, In: "eth0", To: own, Proto: 6, Port: 8286},
}

// ufw's rules as far as they decide, as ufw 0.36 makes them.
const ufw = `-P INPUT DROP
-P FORWARD DROP
-P OUTPUT ACCEPT
-N ufw-before-input
-N ufw-not-local
-N ufw-user-input
-N ufw-before-forward
-N ufw-logging-deny
-A INPUT -j ufw-before-input
-A FORWARD -j ufw-before-forward
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny
-A ufw-not-local -j DROP
-A ufw-logging-deny -m limit --limit 3/min -j LOG --log-prefix "[UFW BLOCK] "
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT
`

func TestRulesThatCertainlyDropAreNamed(t *testing.T) {
	const both = "-P INPUT ACCEPT\n-P OUTPUT ACCEPT\n"
	for name, c := range map[string]struct {
		table, text string
		want        string // names of the flows that are dropped
	}{
		"nothing":                      {"filter", both + "-P FORWARD ACCEPT\n", ""},
		"policy":                       {"filter", both + "-P FORWARD DROP\n", "in out"},
		"policy and ours":              {"filter", both + "-P FORWARD DROP\n-N X\n-A FORWARD -j X\n-A X -s 10.244.0.0/16 -d 10.244.7.0/24 -i flannel0 -j ACCEPT\n-A X -s 10.244.7.0/24 -d 10.244.0.0/16 -o flannel0 -j ACCEPT\n", ""},
		"one way only":                 {"filter", both + "-P FORWARD DROP\n-A FORWARD -i docker0 -j ACCEPT\n", "in"},
		"established only":             {"filter", both + "-P FORWARD DROP\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", "in out"},
		"a match that is not known":    {"filter", both + "-P FORWARD DROP\n-A FORWARD -m set --match-set good src -j ACCEPT\n", ""},
		"reject":                       {"filter", both + "-P FORWARD ACCEPT\n-A FORWARD -o flannel0 -j REJECT --reject-with icmp-port-unreachable\n", "out"},
		"reject of everything else":    {"filter", both + "-P FORWARD ACCEPT\n-A FORWARD ! -i docker0 -j DROP\n", "in"},
		"wildcard":                     {"filter", both + "-P FORWARD ACCEPT\n-A FORWARD -i flannel+ -j DROP\n", "in"},
		"a part of the network":        {"filter", both + "-P FORWARD ACCEPT\n-A FORWARD -s 10.244.9.0/24 -j DROP\n", ""},
		"more than the network":        {"filter", both + "-P FORWARD ACCEPT\n-A FORWARD -s 10.0.0.0/8 -d 10.0.0.0/8 -j DROP\n", "in out"},
		"goto and return":              {"filter", both + "-P FORWARD ACCEPT\n-N A\n-N B\n-A FORWARD -g A\n-A FORWARD -j DROP\n-A A -i docker0 -j RETURN\n-A A -j B\n-A B -j DROP\n", "in"},
		"mangle":                       {"mangle", "-P PREROUTING ACCEPT\n-P FORWARD ACCEPT\n-A FORWARD -i flannel0 -j DROP\n", "in"},
		"raw":                          {"raw", "-P PREROUTING ACCEPT\n-A PREROUTING -p udp -m udp --dport 8285 -j DROP\n", "data"},
		"one address, as Docker 28":    {"raw", "-P PREROUTING ACCEPT\n-A PREROUTING -d 10.244.7.2/32 ! -i docker0 -j DROP\n", ""},
		"a range of ports":             {"filter", "-P INPUT DROP\n-P FORWARD ACCEPT\n-A INPUT -p tcp -m tcp --dport 8000:9000 -j ACCEPT\n", "data"},
		"some sources":                 {"filter", "-P INPUT DROP\n-P FORWARD ACCEPT\n-A INPUT -s 192.168.50.0/24 -j ACCEPT\n", ""},
		"ufw":                          {"filter", ufw, "in out data gossip"},
		"ufw with data open":           {"filter", ufw + "-A ufw-user-input -p udp -m udp --dport 8285 -j ACCEPT\n", "in out gossip"},
		"ufw with all open":            {"filter", ufw + "-A ufw-user-input -p udp -m udp --dport 8285 -j ACCEPT\n-A ufw-user-input -p tcp -m tcp --dport 8286 -j ACCEPT\n-A ufw-before-forward -i flannel0 -j ACCEPT\n-A ufw-before-forward -o flannel0 -j ACCEPT\n", ""},
		"a comment like a rule":        {"filter", both + "-P FORWARD ACCEPT\n-A FORWARD -m comment --comment \"-j DROP\" -j ACCEPT\n", ""},
		"a loop, which cannot be made": {"filter", both + "-P FORWARD DROP\n-N A\n-A A -j A\n-A FORWARD -j A\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dropped := map[string]bool{}
			for _, b := range blockedByText(c.table, c.text, testFlows) {
				dropped[b.Flow.Name] = true
				if b.Why == "" || strings.Contains(b.Why, "\n") {
					t.Errorf("reason %q", b.Why)
				}
			}
			want := map[string]bool{}
			for _, f := range strings.Fields(c.want) {
				want[f] = true
			}
			if !reflect.DeepEqual(dropped, want) {
				t.Errorf("dropped %v, want %v", dropped, want)
			}
		})
	}
}

func TestWordsInQuotesStayTogether(t *testing.T) {
	got := splitWords(`-A X -m comment --comment "a \"b\" c" -j DROP ` + "\n")
	want := []string{"-A", "X", "-m", "comment", "--comment", `a "b" c`, "-j", "DROP"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}

func FuzzRules(f *testing.F) {
	f.Add(ufw)
	f.Add("-P FORWARD DROP\n-A FORWARD ! -i docker0 -p 17 --dport 1:2 -g X\n-N X\n-A X -j X\n")
	f.Add("-A\n-P\n-A X !\n-A X -s\n-A X -s ::/0 -j DROP\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		for _, b := range blockedByText("filter", text, testFlows) {
			if b.Flow.Name == "" {
				t.Error("a flow without a name")
			}
		}
	})
}
