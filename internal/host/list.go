// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"slices"
)

// A List is parts in the order in which they are set up. A part may rely on the
// parts before it.
type List []Part

// A Finding is what a Check found.
type Finding struct {
	Part  string   // its name
	Wrong []string // one sentence for each difference; empty where all is well
	Err   error    // the part could not be checked
}

// Check checks all parts, in order, for status. A failure does not keep the
// next part from its turn. The result has one Finding for each part.
func (l List) Check(ctx context.Context) []Finding {
	found := make([]Finding, len(l))
	for i, p := range l {
		wrong, err := p.Check(ctx)
		found[i] = Finding{Part: p.Name(), Wrong: wrong, Err: err}
	}
	return found
}

// Remove removes all parts, the last one first, and may be repeated. A failure
// does not keep the next part from its turn; the error joins all failures on
// one line (see Errors). It returns what the parts named before and have
// removed, in the order of the list.
func (l List) Remove(ctx context.Context) (removed []string, err error) {
	var failed joined
	for _, p := range slices.Backward(l) {
		var present []string
		if named, ok := p.(Leftover); ok {
			present = named.Present()
		}
		if err := p.Remove(ctx); err != nil {
			failed = append(failed, fmt.Errorf("remove %s: %w", p.Name(), err))
			continue
		}
		removed = append(present, removed...)
	}
	return removed, failed.err()
}
