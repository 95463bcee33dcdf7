// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"testing"

	"flanneld/internal/host"
)

// named is a part that does nothing.
type named string

func (n named) Name() string                              { return string(n) }
func (named) Ensure(context.Context) ([]string, error)    { return nil, nil }
func (named) Check(context.Context) (w []string, e error) { return nil, nil }
func (named) Remove(context.Context) error                { return nil }

// A part is repaired where it was in place before, as it is wanted now.
func TestRepairsAreWhatWasInPlaceBefore(t *testing.T) {
	a, b, failed := named("a"), named("b"), errors.New("failed")
	change := []string{"changed"}
	r := newRepairs(host.List{a, b})
	for i, step := range []struct {
		changes []string
		err     error
		want    uint64 // afterwards
	}{
		{change, nil, 0},    // set up
		{nil, nil, 0},       // nothing to do
		{change, nil, 1},    // repaired
		{change, failed, 2}, // repaired in part
		{nil, failed, 2},
		{change, nil, 3},
	} {
		r.ensured(a, step.changes, step.err)
		if got := r.all()["a"]; got != step.want {
			t.Errorf("step %d: %d repairs, want %d", i, got, step.want)
		}
	}
	r.wanted(a)
	if r.ensured(a, change, nil) || !r.ensured(a, change, nil) {
		t.Error("what is wanted otherwise is no repair, and the next change is one")
	}
	r.ensured(b, nil, failed)
	if r.ensured(b, change, nil) {
		t.Error("what never was in place is repaired")
	}
	r.wanted()
	if r.ensured(a, change, nil) || r.ensured(b, change, nil) {
		t.Error("after a new target something is repaired")
	}
	r.add(b)
	if got := r.all(); got["a"] != 4 || got["b"] != 1 || len(got) != 2 {
		t.Errorf("got %v", got)
	}
}
