// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"fmt"
	"net/netip"
)

// Flow is a new connection, or a datagram, that must pass. Unknown fields are
// left out.
type Flow struct {
	Name string // for messages, such as "from other hosts to containers"
	// Hooks that it passes, by the names that nft uses.
	Hooks []string
	In    string       // device that it comes in by; "": not known
	Out   string       // device that it leaves by; "": not known
	From  netip.Prefix // all sources
	To    netip.Prefix // all destinations
	Proto byte         // 0: any
	Port  uint16       // destination port; 0: any
}

// Blocked is a flow that other programs' rules certainly drop.
type Blocked struct {
	Flow  Flow
	Chain Chain  // base chain that drops it
	Hook  string // where that chain is
	Why   string // one line: the policy, or the rule
	// Legacy: the chain is one of iptables-legacy.
	Legacy bool
}

// answer is whether a packet of a flow matches a rule.
type answer int

const (
	no answer = iota
	maybe
	yes
)

// and is the answer to both conditions.
func (a answer) and(b answer) answer { return min(a, b) }

// not turns an answer round.
func (a answer) not() answer { return yes - a }

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// within answers whether all, some or none of the addresses are in a range.
func within(flow, rule netip.Prefix) answer {
	switch {
	case !flow.IsValid():
		return maybe
	case !flow.Overlaps(rule):
		return no
	case rule.Bits() <= flow.Bits():
		return yes
	}
	return maybe
}

// action is what a rule does with a packet that matches.
type action int

const (
	actContinue action = iota
	actAccept
	actDrop
	actReturn
	actJump
	actGoto
	actUnknown // may accept, or go on
)

// evalRule is one rule for one flow.
type evalRule struct {
	match  answer
	action action
	target string // chain, for jump and goto
	text   string // for messages
}

// evalTable is the chains of one table for one flow. load returns the rules of
// a chain; false where there is no such chain.
type evalTable struct {
	load func(chain string) ([]evalRule, bool)
}

// Outcomes of a chain, as a set.
const (
	mayAccept = 1 << iota
	mayDrop
	mayReturn
)

// outcome is what a chain may do with a flow, and the rule that dropped last.
type outcome struct {
	may int
	why string
}

// run is the way of one flow through a table. Chains may lead to one chain a
// thousand times, sixteen deep; each is followed once.
type run struct {
	evalTable
	done map[string]outcome
}

// chain returns the possible outcomes of a chain. One that is not there, or
// leads to itself, which the kernel refuses, may do anything but drop.
func (r run) chain(name string) outcome {
	if o, ok := r.done[name]; ok {
		return o
	}
	rules, ok := r.load(name)
	r.done[name] = outcome{may: mayAccept | mayReturn}
	if ok {
		r.done[name] = r.follow(name, rules)
	}
	return r.done[name]
}

func (r run) follow(name string, rules []evalRule) (all outcome) {
	for i, rule := range rules {
		if rule.match == no {
			continue
		}
		o := r.apply(rule)
		if o.why != "" {
			all.why = o.why
		} else if rule.action == actDrop {
			all.why = fmt.Sprintf("rule %d of chain %s: %s", i+1, name, rule.text)
		}
		all.may |= o.may &^ mayGoOn
		if rule.match == yes && o.may&mayGoOn == 0 {
			return all
		}
	}
	all.may |= mayReturn
	return all
}

// mayGoOn is an outcome of a rule: the next one is looked at.
const mayGoOn = 1 << 8

// apply returns the possible outcomes of a rule that matches.
func (r run) apply(rule evalRule) outcome {
	switch rule.action {
	case actAccept:
		return outcome{may: mayAccept}
	case actDrop:
		return outcome{may: mayDrop}
	case actReturn:
		return outcome{may: mayReturn}
	case actUnknown:
		return outcome{may: mayAccept | mayGoOn}
	case actGoto:
		return r.chain(rule.target)
	case actJump:
		o := r.chain(rule.target)
		if o.may&mayReturn != 0 {
			o.may = o.may&^mayReturn | mayGoOn
		}
		return o
	}
	return outcome{may: mayGoOn}
}

// drops reports whether a base chain certainly drops the flow, and by what.
func (t evalTable) drops(base string, policyDrops bool) (string, bool) {
	o := run{t, map[string]outcome{}}.chain(base)
	if o.may&mayReturn != 0 && policyDrops {
		o.may = o.may&^mayReturn | mayDrop
		if o.why == "" || o.may == mayDrop {
			o.why = "policy drop of chain " + base
		}
	}
	return o.why, o.may == mayDrop
}
