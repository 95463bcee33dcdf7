// SPDX-License-Identifier: Apache-2.0

package ruleset

// Family is a protocol family of nf_tables (NFPROTO_*).
type Family uint8

// Families that this program looks at.
const (
	FamilyInet Family = 1
	FamilyIPv4 Family = 2
)

// Chain names a chain. Name is "" for a change of the table itself or of one of
// its sets.
type Chain struct {
	Family Family
	Table  string
	Name   string
}

// maxChains bounds the changed chains that are noted; more are a change of
// everything.
const maxChains = 256

// Change is what one or several transactions changed.
type Change struct {
	Program string // that made the last one, as `ps -o comm` shows it
	All     bool   // everything in nf_tables may have changed
	Legacy  bool   // tables of iptables-legacy have changed
	Chains  map[Chain]bool
}

// merge adds a later change.
func (c *Change) merge(later Change) {
	if later.Program != "" {
		c.Program = later.Program
	}
	c.All, c.Legacy = c.All || later.All, c.Legacy || later.Legacy
	for chain := range later.Chains {
		c.addChain(chain)
	}
}

// addChain notes a changed chain; too many are a change of everything.
func (c *Change) addChain(chain Chain) {
	if c.Chains == nil {
		c.Chains = map[Chain]bool{}
	}
	if len(c.Chains) >= maxChains {
		c.All = true
		return
	}
	c.Chains[chain] = true
}

// Touches reports whether a chain of nf_tables was changed for which match
// returns true, or everything may have been.
func (c Change) Touches(match func(Chain) bool) bool {
	if c.All {
		return true
	}
	for chain := range c.Chains {
		if match(chain) {
			return true
		}
	}
	return false
}
