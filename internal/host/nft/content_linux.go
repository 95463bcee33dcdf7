// SPDX-License-Identifier: Apache-2.0

package nft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// Content is what a table holds. All of it belongs to the program: what others
// add to the table is taken away.
type Content struct {
	Sets     []Set
	Counters []string // names, for rules to refer to
	Chains   []Chain  // a chain comes before the rules that lead to it
}

// Set is a set of keys. A rule looks a key up by the set's name.
type Set struct {
	Name    string
	Key     nftables.SetDatatype
	Order   binaryutil.ByteOrder // of keys, for the nft command
	Counted bool                 // a counter for each key
	// Keys are as the kernel keeps them: of one length, each field filled up to
	// four bytes.
	Keys map[string]bool
}

// Chain is a chain and its rules, as expressions.
type Chain struct {
	Name     string
	Hook     *nftables.ChainHook // nil: led to by rules of the table only
	Priority int32               // of a chain with a hook
	NAT      bool                // a chain with a hook that sees the first packet of each connection, and translates
	Rules    [][]expr.Any
}

// Count is what a counter says.
type Count struct{ Packets, Bytes uint64 }

// structure is all but the keys, as text, to be compared.
func (c Content) structure() string {
	var text strings.Builder
	for _, s := range c.Sets {
		fmt.Fprintf(&text, "set %s %s %t\n", s.Name, s.Key.Name, s.Counted)
	}
	fmt.Fprintf(&text, "counters %q\n", c.Counters)
	for _, chain := range c.Chains {
		fmt.Fprintf(&text, "chain %s %s\n", chain.Name, chain.place())
		for _, rule := range chain.Rules {
			text.WriteString(printRule(rule) + "\n")
		}
	}
	return text.String()
}

// lines is how many chains and rules there are.
func (c Content) lines() (n int) {
	for _, chain := range c.Chains {
		n += 1 + len(chain.Rules)
	}
	return n
}

// keys returns the keys by set.
func (c Content) keys() keys {
	all := keys{}
	for _, s := range c.Sets {
		all[s.Name] = s.Keys
	}
	return all
}

// keys are keys by set.
type keys map[string]map[string]bool

// equal reports whether both have the same keys in the same sets.
func (k keys) equal(other keys) bool {
	if len(k) != len(other) {
		return false
	}
	for name, have := range k {
		want, ok := other[name]
		if !ok || len(have) != len(want) || len(minus(have, want)) > 0 {
			return false
		}
	}
	return true
}

// minus returns the keys that other lacks, in order, so that equal changes
// make equal transactions.
func minus(keys, other map[string]bool) []string {
	var missing []string
	for k := range keys {
		if !other[k] {
			missing = append(missing, k)
		}
	}
	slices.Sort(missing)
	return missing
}

// policy of all chains with a hook.
const policy = nftables.ChainPolicyAccept

// place is where a chain is hooked; "" for nowhere.
func (c Chain) place() string {
	if c.Hook == nil {
		return ""
	}
	return placeOf(c.kind(), *c.Hook, c.Priority, policy)
}

// kind is the type of a chain with a hook.
func (c Chain) kind() nftables.ChainType {
	if c.NAT {
		return nftables.ChainTypeNAT
	}
	return nftables.ChainTypeFilter
}

func placeOf(kind nftables.ChainType, hook nftables.ChainHook, priority int32, policy nftables.ChainPolicy) string {
	return fmt.Sprintf("type %s hook %d priority %d policy %d", kind, hook, priority, policy)
}

// placeRead is the place of a chain that the kernel has listed.
func placeRead(c *nftables.Chain) string {
	if c.Hooknum == nil || c.Priority == nil {
		return ""
	}
	is := policy
	if c.Policy != nil {
		is = *c.Policy
	}
	return placeOf(c.Type, *c.Hooknum, int32(*c.Priority), is)
}

// printRule prints a rule without what its counters say.
func printRule(exprs []expr.Any) string {
	var words []string
	for _, e := range exprs {
		if _, counts := e.(*expr.Counter); !counts {
			words = append(words, fmt.Sprintf("%T%+v", e, e))
		}
	}
	return strings.Join(words, " ")
}
