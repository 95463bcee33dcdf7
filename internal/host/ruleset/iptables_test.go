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

// Two readings of one table say the same in the same order: else a report would
// change without a reason.
func TestBlockedFlowsAreInOrder(t *testing.T) {
	const rules = "-P FORWARD DROP\n-P PREROUTING ACCEPT\n-P INPUT ACCEPT\n-A PREROUTING -p tcp -j DROP\n"
	for range 20 {
		var got []string
		for _, b := range blockedByText("mangle", rules, testFlows) {
			if !b.Legacy || b.Chain.Family != FamilyIPv4 || b.Chain.Table != "mangle" {
				t.Fatalf("got %+v", b)
			}
			got = append(got, b.Flow.Name+":"+b.Chain.Name+":"+b.Hook)
		}
		if want := "in:PREROUTING:prerouting in:FORWARD:forward out:PREROUTING:prerouting out:FORWARD:forward gossip:PREROUTING:prerouting"; strings.Join(got, " ") != want {
			t.Fatalf("got %s, want %s", strings.Join(got, " "), want)
		}
	}
}

// Each option of a rule, as `iptables -S` prints it, for the flow "data": UDP
// from anywhere by eth0 to 192.168.50.11, port 8285.
func TestOptionsOfARuleAreAnswered(t *testing.T) {
	for options, want := range map[string]answer{
		"":                                    yes,
		"-p udp":                              yes,
		"-p 17":                               yes,
		"-p all":                              yes,
		"-p 0":                                yes,
		"-p tcp":                              no,
		"! -p tcp":                            yes,
		"! -p udp":                            no,
		"-p tomorrow":                         maybe,
		"-p 256":                              maybe,
		"-i eth0":                             yes,
		"-i eth+":                             yes,
		"-i +":                                yes,
		"-i wlan+":                            no,
		"! -i eth0":                           no,
		"! -i wlan0":                          yes,
		"-o eth0":                             maybe, // it is delivered
		"-o +":                                yes,
		"-d 192.168.50.11/32":                 yes,
		"-d 192.168.50.11":                    yes,
		"-d 192.168.0.0/16":                   yes,
		"-d 192.168.50.12/32":                 no,
		"! -d 192.168.50.11/32":               no,
		"-s 192.168.50.0/24":                  maybe,
		"! -s 192.168.50.0/24":                maybe,
		"-d 192.168.50.11/255.0.255.255":      maybe, // a mask with a hole
		"-d ::1":                              no,
		"-m udp --dport 8285":                 yes,
		"-m udp --dport 8000:8285":            yes,
		"-m udp --dport 8286:9000":            no,
		"-m udp ! --dport 8285":               no,
		"-m udp --dport http":                 maybe,
		"-m udp --dport 99999":                maybe,
		"-m udp --dport 1:":                   maybe,
		"-m udp --sport 67":                   maybe,
		"-m udp --sport 67 --dport 68":        no,
		"-m multiport --dports 8285,22":       maybe,
		"-m multiport --dports 22 -p tcp":     no,
		"-m conntrack --ctstate NEW":          yes,
		"-m conntrack --ctstate INVALID,NEW":  yes,
		"-m conntrack --ctstate RELATED":      no,
		"-m conntrack ! --ctstate NEW":        no,
		"-m state --state ESTABLISHED":        no,
		"-m mark --mark 0x1/0xff":             maybe,
		"-m mark ! --mark 0x1/0xff":           maybe,
		"-m comment --comment \"-p tcp\"":     yes,
		"-m comment --comment \"a b\" -p tcp": no,
		"-f":                                  maybe,
		"-f -p tcp":                           no,
		"!":                                   yes,
		"-d":                                  maybe,
	} {
		for _, target := range []string{"", " -j DROP"} {
			if target != "" && (options == "!" || options == "-d") {
				continue // cut off
			}
			words := splitWords(options + target)
			if got := textRule(words, testFlows[2]); got.match != want || (got.action == actDrop) != (target != "") {
				t.Errorf("%q: match %d, action %d, want match %d", options+target, got.match, got.action, want)
			}
		}
	}
}

func TestTargetsOfRulesAreKnown(t *testing.T) {
	for text, want := range map[string]action{
		"-j ACCEPT": actAccept, "-j DROP": actDrop, "-j REJECT --reject-with tcp-reset": actDrop, "-j RETURN": actReturn,
		"-j LOG --log-prefix \"-j DROP\"": actContinue, "-j MARK --set-xmark 0x1/0x1": actContinue, "-j TRACE": actContinue,
		"-j NFQUEUE --queue-num 1": actUnknown, "-j DNAT --to-destination 1.2.3.4": actUnknown, "-j MASQUERADE": actUnknown, "-j": actUnknown,
		"-j mine": actJump, "-g mine": actGoto, "": actContinue, "-p udp": actContinue,
	} {
		got := textRule(splitWords(text), testFlows[2])
		if got.action != want || (got.target == "mine") != (want == actJump || want == actGoto) {
			t.Errorf("%q: action %d to %q, want %d", text, got.action, got.target, want)
		}
	}
}

// Output that is cut, or in other words, is read as far as it is known.
func TestLinesThatAreNotKnownAreLeftOut(t *testing.T) {
	table := parseTable("# comment\n\n-P FORWARD\n-P INPUT DROP [0:0]\n-N\n-N A\n-A\n-A A -j DROP\nCOMMIT\n-X A\n-A B -j ACCEPT")
	if want := map[string]string{"INPUT": "DROP"}; !reflect.DeepEqual(table.policies, want) {
		t.Errorf("policies %v", table.policies)
	}
	if len(table.chains["A"]) != 1 || len(table.chains["B"]) != 1 || table.chains["INPUT"] != nil {
		t.Errorf("chains %v", table.chains)
	}
	if got := blockedByText("filter", "-P INPUT DROP\n-P FORWARD\n", testFlows); len(got) != 2 {
		t.Errorf("a policy that is not known drops: %+v", got)
	}
}

func TestWordsInQuotesStayTogether(t *testing.T) {
	got := splitWords(`-A X -m comment --comment "a \"b\" c" -j DROP ` + "\n")
	want := []string{"-A", "X", "-m", "comment", "--comment", `a "b" c`, "-j", "DROP"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestEmptyWordsInQuotesAreWords(t *testing.T) {
	got := splitWords(`-m comment --comment "" -j DROP`)
	if want := []string{"-m", "comment", "--comment", "", "-j", "DROP"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
	if r := textRule(got, testFlows[0]); r.action != actDrop || r.match != yes {
		t.Errorf("got %+v", r)
	}
}

// A connection between containers has any port.
func TestPortsOfAnyConnectionAreNotKnown(t *testing.T) {
	for options, want := range map[string]answer{
		"-p tcp -m tcp --dport 22": maybe, "-p tcp -m tcp ! --dport 22": maybe, "-p udp -m udp --dport 22": no,
	} {
		if got := textRule(splitWords(options), testFlows[0]); got.match != want {
			t.Errorf("%q: match %d, want %d", options, got.match, want)
		}
	}
}

func FuzzRules(f *testing.F) {
	f.Add(ufw)
	f.Add("-P FORWARD DROP\n-A FORWARD ! -i docker0 -p 17 --dport 1:2 -g X\n-N X\n-A X -j X\n")
	f.Add("-P FORWARD DROP\n-N A\n-A FORWARD -j A\n" + strings.Repeat("-A A -m set -j A\n", 20))
	f.Add("-A\n-P\n-A X !\n-A X -s\n-A X -s ::/0 -j DROP\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		for _, b := range blockedByText("filter", text, testFlows) {
			if b.Flow.Name == "" {
				t.Error("a flow without a name")
			}
		}
	})
}
