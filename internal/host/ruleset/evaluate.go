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

// maxDepth is how deep jumps may lead; the kernel allows 16.
const maxDepth = 16

// run returns the possible outcomes of a chain, and the rule that dropped last.
func (t evalTable) run(chain string, depth int) (outcome int, why string) {
	rules, ok := t.load(chain)
	if !ok || depth > maxDepth {
		return mayAccept | mayReturn, ""
	}
	for i, r := range rules {
		if r.match == no {
			continue
		}
		result, by := t.apply(r, depth)
		if by != "" {
			why = by
		} else if r.action == actDrop {
			why = fmt.Sprintf("rule %d of chain %s: %s", i+1, chain, r.text)
		}
		ends := r.match == yes && result&mayGoOn == 0
		outcome |= result &^ mayGoOn
		if ends {
			return outcome, why
		}
	}
	return outcome | mayReturn, why
}

// mayGoOn is an outcome of a rule: the next one is looked at.
const mayGoOn = 1 << 8

// apply returns the possible outcomes of a rule that matches.
func (t evalTable) apply(r evalRule, depth int) (int, string) {
	switch r.action {
	case actAccept:
		return mayAccept, ""
	case actDrop:
		return mayDrop, ""
	case actReturn:
		return mayReturn, ""
	case actUnknown:
		return mayAccept | mayGoOn, ""
	case actGoto:
		return t.run(r.target, depth+1)
	case actJump:
		outcome, why := t.run(r.target, depth+1)
		if outcome&mayReturn != 0 {
			outcome = outcome&^mayReturn | mayGoOn
		}
		return outcome, why
	}
	return mayGoOn, ""
}

// drops reports whether a base chain certainly drops the flow, and by what.
func (t evalTable) drops(base string, policyDrops bool) (string, bool) {
	outcome, why := t.run(base, 0)
	if outcome&mayReturn != 0 && policyDrops {
		outcome = outcome&^mayReturn | mayDrop
		if why == "" || outcome == mayDrop {
			why = "policy drop of chain " + base
		}
	}
	return why, outcome == mayDrop
}
