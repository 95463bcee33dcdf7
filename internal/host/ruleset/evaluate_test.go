// SPDX-License-Identifier: Apache-2.0

package ruleset

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// inMemory is a table with its chains written down.
func inMemory(chains map[string][]evalRule) evalTable {
	return evalTable{load: func(name string) ([]evalRule, bool) {
		rules, ok := chains[name]
		return rules, ok
	}}
}

func rule(match answer, does action, target ...string) evalRule {
	r := evalRule{match: match, action: does, text: "the rule"}
	if len(target) > 0 {
		r.target = target[0]
	}
	return r
}

// A flow is dropped only where no answer that is still open could save it.
func TestOnlyCertainDropsCount(t *testing.T) {
	deep := map[string][]evalRule{"x": {rule(yes, actJump, "x")}} // the kernel refuses such a loop
	for name, c := range map[string]struct {
		base   []evalRule
		policy bool
		others map[string][]evalRule
		want   string // part of the reason; "": not dropped
	}{
		"empty, accepts":         {nil, false, nil, ""},
		"empty, drops":           {nil, true, nil, "policy drop of chain base"},
		"a rule drops":           {[]evalRule{rule(yes, actDrop)}, false, nil, "rule 1 of chain base: the rule"},
		"a rule may drop":        {[]evalRule{rule(maybe, actDrop)}, false, nil, ""},
		"may drop, policy drops": {[]evalRule{rule(maybe, actDrop)}, true, nil, "policy drop"},
		"another flow's rule":    {[]evalRule{rule(no, actDrop)}, false, nil, ""},
		"accepted before":        {[]evalRule{rule(yes, actAccept), rule(yes, actDrop)}, true, nil, ""},
		"perhaps accepted":       {[]evalRule{rule(maybe, actAccept), rule(yes, actDrop)}, true, nil, ""},
		"goes on":                {[]evalRule{rule(yes, actContinue), rule(yes, actDrop)}, false, nil, "rule 2"},
		"unknown target":         {[]evalRule{rule(yes, actUnknown), rule(yes, actDrop)}, false, nil, ""},
		"returns to the policy":  {[]evalRule{rule(yes, actReturn), rule(yes, actAccept)}, true, nil, "policy drop"},
		"jump drops":             {[]evalRule{rule(yes, actJump, "x")}, false, map[string][]evalRule{"x": {rule(yes, actDrop)}}, "chain x"},
		"jump comes back":        {[]evalRule{rule(yes, actJump, "x"), rule(yes, actDrop)}, false, map[string][]evalRule{"x": {rule(yes, actReturn)}}, "chain base"},
		"jump saves":             {[]evalRule{rule(yes, actJump, "x")}, true, map[string][]evalRule{"x": {rule(yes, actAccept)}}, ""},
		"goto does not return":   {[]evalRule{rule(yes, actGoto, "x"), rule(yes, actAccept)}, true, map[string][]evalRule{"x": {}}, "policy drop"},
		"no such chain":          {[]evalRule{rule(yes, actJump, "x")}, true, nil, ""},
		"endless in a round":     {[]evalRule{rule(yes, actJump, "a"), rule(yes, actDrop)}, true, map[string][]evalRule{"a": {rule(yes, actGoto, "b")}, "b": {rule(yes, actJump, "a")}}, ""},
		"a shared chain drops":   {[]evalRule{rule(no, actJump, "x"), rule(maybe, actJump, "x"), rule(yes, actGoto, "x")}, false, map[string][]evalRule{"x": {rule(yes, actDrop)}}, "rule 1 of chain x"},
		"a shared chain returns": {[]evalRule{rule(yes, actJump, "x"), rule(yes, actGoto, "x"), rule(yes, actAccept)}, true, map[string][]evalRule{"x": {rule(yes, actReturn)}}, "policy drop"},
		"may drop, then accepts": {[]evalRule{rule(maybe, actDrop), rule(yes, actAccept)}, true, nil, ""},
		"may return":             {[]evalRule{rule(maybe, actReturn), rule(yes, actDrop)}, false, nil, ""},
		"may jump to a drop":     {[]evalRule{rule(maybe, actJump, "x")}, false, map[string][]evalRule{"x": {rule(yes, actDrop)}}, ""},
		"endless":                {[]evalRule{rule(yes, actJump, "x")}, true, deep, ""},
	} {
		chains := map[string][]evalRule{"base": c.base}
		for name, rules := range c.others {
			chains[name] = rules
		}
		why, drops := inMemory(chains).drops("base", c.policy)
		if drops != (c.want != "") || drops && !strings.Contains(why, c.want) {
			t.Errorf("%s: dropped %t by %q, want %q", name, drops, why, c.want)
		}
	}
}

// Zones of a firewall jump to shared chains again and again: sixteen floors of
// forty jumps are 40^16 ways.
func TestSharedChainsAreFollowedOnce(t *testing.T) {
	chains := map[string][]evalRule{"16": {rule(yes, actReturn)}}
	for floor := range 16 {
		rules := make([]evalRule, 40)
		for i := range rules {
			rules[i] = rule(maybe, actJump, fmt.Sprint(floor+1))
		}
		chains[fmt.Sprint(floor)] = rules
	}
	loads := 0
	table := evalTable{load: func(name string) ([]evalRule, bool) {
		if loads++; loads > 100 {
			t.Fatal("chains are read again and again")
		}
		return chains[name], true
	}}
	if why, drops := table.drops("0", true); !drops || why != "policy drop of chain 0" {
		t.Errorf("dropped %t by %q", drops, why)
	}
	chains["16"] = []evalRule{rule(maybe, actAccept)}
	loads = 0
	if why, drops := table.drops("0", true); drops {
		t.Errorf("dropped by %q, though the last floor may accept", why)
	}
}

func TestAnswersAreCombined(t *testing.T) {
	for _, c := range []struct{ a, b, and answer }{{yes, yes, yes}, {yes, maybe, maybe}, {maybe, no, no}, {no, yes, no}} {
		if got := c.a.and(c.b); got != c.and {
			t.Errorf("%d and %d is %d", c.a, c.b, got)
		}
	}
	if no.not() != yes || yes.not() != no || maybe.not() != maybe || answerOf(true) != yes || answerOf(false) != no {
		t.Error("not turns an answer round")
	}
}

func TestAddressesOfAFlowAreAllSomeOrNone(t *testing.T) {
	prefix := netip.MustParsePrefix
	for _, c := range []struct {
		flow, rule netip.Prefix
		want       answer
	}{
		{prefix("10.244.7.0/24"), prefix("10.244.0.0/16"), yes},
		{prefix("10.244.0.0/16"), prefix("10.244.7.0/24"), maybe},
		{prefix("10.244.0.0/16"), prefix("10.245.0.0/16"), no},
		{prefix("10.244.7.0/24"), prefix("10.244.7.0/24"), yes},
		{netip.Prefix{}, prefix("10.244.7.0/24"), maybe},
	} {
		if got := within(c.flow, c.rule); got != c.want {
			t.Errorf("%s in %s: %d, want %d", c.flow, c.rule, got, c.want)
		}
	}
}
