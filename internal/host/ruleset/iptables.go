// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"flanneld/internal/packet"
)

// textTable is one table as `iptables -S` prints it.
type textTable struct {
	policies map[string]string
	chains   map[string][][]string // words of each rule
}

// parseTable reads what `iptables -S` prints. Lines that it does not know are
// left out.
func parseTable(text string) textTable {
	t := textTable{policies: map[string]string{}, chains: map[string][][]string{}}
	for line := range strings.Lines(text) {
		words := splitWords(line)
		if len(words) < 2 {
			continue
		}
		switch chain := words[1]; words[0] {
		case "-P":
			if len(words) > 2 {
				t.policies[chain] = words[2]
			}
			t.chains[chain] = t.chains[chain][:len(t.chains[chain]):len(t.chains[chain])]
		case "-N":
			t.chains[chain] = nil
		case "-A":
			t.chains[chain] = append(t.chains[chain], words[2:])
		}
	}
	return t
}

// splitWords splits a line at blanks, but not within double quotes.
func splitWords(line string) []string {
	var words []string
	var word strings.Builder
	quoted, escaped, begun := false, false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quoted:
			escaped = true
		case r == '"':
			quoted, begun = !quoted, true
		case !quoted && (r == ' ' || r == '\n' || r == '\t'):
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// forFlow is the table as one flow meets it.
func (t textTable) forFlow(f Flow) evalTable {
	return evalTable{load: func(chain string) ([]evalRule, bool) {
		rules, ok := t.chains[chain]
		if !ok {
			return nil, false
		}
		all := make([]evalRule, len(rules))
		for i, words := range rules {
			all[i] = textRule(words, f)
		}
		return all, true
	}}
}

// textRule answers one rule for a flow. A match that it does not know may
// match or not.
func textRule(words []string, f Flow) evalRule {
	r := evalRule{match: yes, text: strings.Join(words, " ")}
	for i := 0; i < len(words); i++ {
		negated := words[i] == "!"
		if negated {
			if i++; i == len(words) {
				break
			}
		}
		option, value := words[i], ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		a, known := textMatch(option, value, f)
		switch {
		case known:
			i++
		case option == "-j" || option == "-g":
			r.action, r.target = textAction(option, value)
			return r // what follows are the target's options
		case option == "-m" || option == "--comment":
			i++
			continue
		default:
			a = maybe
			if !strings.HasPrefix(option, "-") {
				continue // a further value of an option that is not known
			}
		}
		if negated {
			a = a.not()
		}
		r.match = r.match.and(a)
	}
	return r
}

// textMatch answers the options that are known.
func textMatch(option, value string, f Flow) (a answer, known bool) {
	switch option {
	case "-s", "-d":
		p, err := netip.ParsePrefix(value)
		if addr, aerr := netip.ParseAddr(value); err != nil && aerr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return maybe, true
		}
		if option == "-s" {
			return within(f.From, p.Masked()), true
		}
		return within(f.To, p.Masked()), true
	case "-i":
		return deviceIs(f.In, value), true
	case "-o":
		return deviceIs(f.Out, value), true
	case "-p":
		return protocolIs(f.Proto, value), true
	case "--dport":
		return portIs(f.Port, value), true
	case "--ctstate", "--state":
		return answerOf(slices.Contains(strings.Split(value, ","), "NEW")), true
	}
	return maybe, false
}

// deviceIs compares a device with a name that may end in the wildcard '+'.
func deviceIs(device, pattern string) answer {
	prefix, wild := strings.CutSuffix(pattern, "+")
	switch {
	case wild && prefix == "":
		return yes
	case device == "":
		return maybe
	case wild:
		return answerOf(strings.HasPrefix(device, prefix))
	}
	return answerOf(device == pattern)
}

func protocolIs(proto byte, name string) answer {
	numbers := map[string]byte{"tcp": packet.TCP, "udp": packet.UDP, "icmp": packet.ICMP, "sctp": 132, "esp": 50, "ah": 51, "gre": 47}
	want, ok := numbers[name]
	if n, err := strconv.ParseUint(name, 10, 8); err == nil {
		want, ok = byte(n), true
	}
	switch {
	case name == "all" || ok && want == 0:
		return yes
	case proto == 0 || !ok:
		return maybe
	}
	return answerOf(proto == want)
}

// portIs compares a port with one or with a range FIRST:LAST.
func portIs(port uint16, text string) answer {
	first, last, ranged := strings.Cut(text, ":")
	if !ranged {
		last = first
	}
	low, err1 := strconv.ParseUint(first, 10, 16)
	high, err2 := strconv.ParseUint(last, 10, 16)
	if port == 0 || err1 != nil || err2 != nil {
		return maybe
	}
	return answerOf(uint64(port) >= low && uint64(port) <= high)
}

// passing are targets after which the next rule is looked at.
var passing = []string{"LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "CT", "TRACE", "CLASSIFY", "TOS", "DSCP", "TTL", "SET", "AUDIT", "NOTRACK", "CHECKSUM"}

func textAction(option, target string) (action, string) {
	return namedAction(option == "-g", target)
}

// namedAction is what a target of iptables does.
func namedAction(isGoto bool, target string) (action, string) {
	switch {
	case target == "ACCEPT":
		return actAccept, ""
	case target == "DROP" || target == "REJECT":
		return actDrop, ""
	case target == "RETURN":
		return actReturn, ""
	case slices.Contains(passing, target):
		return actContinue, ""
	case isGoto:
		return actGoto, target
	case target == "QUEUE" || target == "NFQUEUE" || target == "DNAT" || target == "SNAT" || target == "MASQUERADE" || target == "REDIRECT" || target == "":
		return actUnknown, ""
	}
	return actJump, target
}

// iptablesHooks are the built-in chains of the tables that filter, with nft's
// names, in the order in which packets meet them.
var iptablesHooks = []struct{ chain, hook string }{
	{"PREROUTING", "prerouting"}, {"INPUT", "input"}, {"FORWARD", "forward"}, {"OUTPUT", "output"}, {"POSTROUTING", "postrouting"},
}

// blockedByText returns which of the flows a table certainly drops, given as
// `iptables -S` prints it.
func blockedByText(table, text string, flows []Flow) (all []Blocked) {
	t := parseTable(text)
	for _, f := range flows {
		for _, h := range iptablesHooks {
			policy, exists := t.policies[h.chain]
			if !exists || !slices.Contains(f.Hooks, h.hook) {
				continue
			}
			if why, drops := t.forFlow(f).drops(h.chain, policy == "DROP"); drops {
				all = append(all, Blocked{Flow: f, Chain: Chain{FamilyIPv4, table, h.chain}, Hook: h.hook, Why: why, Legacy: true})
			}
		}
	}
	return all
}
