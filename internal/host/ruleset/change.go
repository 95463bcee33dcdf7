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

// maxChains is how many changed chains are told apart; more are a change of
// everything.
const maxChains = 256

// Change is what one or several transactions changed.
type Change struct {
	Program string // that made the last one, as `ps -o comm` shows it
	All     bool   // everything may have changed
	Chains  map[Chain]bool
}

// Touches reports whether a chain was changed for which match returns true, or
// everything may have been.
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
