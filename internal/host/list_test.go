// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"flanneld/internal/problem"
)

// fake is a part in memory. There is something to remove while present is true.
type fake struct {
	name    string
	wanted  string // what should be there
	have    string // what is there
	fail    error  // of every method
	history *[]string
}

func (f *fake) Name() string { return f.name }

func (f *fake) note(method string) { *f.history = append(*f.history, method+" "+f.name) }

func (f *fake) Ensure(context.Context) ([]string, error) {
	f.note("ensure")
	if f.fail != nil || f.have == f.wanted {
		return nil, f.fail
	}
	f.have = f.wanted
	return []string{f.name + " was missing"}, nil
}

func (f *fake) Check(context.Context) ([]string, error) {
	f.note("check")
	if f.fail != nil || f.have == f.wanted {
		return nil, f.fail
	}
	return []string{f.name + " is missing"}, nil
}

func (f *fake) Remove(context.Context) error {
	f.note("remove")
	if f.fail == nil {
		f.have = ""
	}
	return f.fail
}

func (f *fake) Present() []string {
	if f.have == "" {
		return nil
	}
	return []string{"the " + f.have}
}

// mute is a part that does not name what it removes.
type mute struct{ Part }

func three(history *[]string) (a, b, c *fake, l List) {
	a = &fake{name: "a", wanted: "A", have: "A", history: history}
	b = &fake{name: "b", wanted: "B", have: "B", history: history}
	c = &fake{name: "c", wanted: "C", have: "C", history: history}
	return a, b, c, List{a, b, c}
}

func TestPartsAreRemovedFromTheLastToTheFirst(t *testing.T) {
	var history []string
	_, _, _, l := three(&history)
	l = append(l, mute{&fake{name: "m", have: "M", history: &history}})
	removed, err := l.Remove(t.Context())
	if want := []string{"the A", "the B", "the C"}; err != nil || !slices.Equal(removed, want) {
		t.Errorf("removed %q, %v", removed, err)
	}
	if want := []string{"remove m", "remove c", "remove b", "remove a"}; !slices.Equal(history, want) {
		t.Errorf("in the order %q", history)
	}
	if again, err := l.Remove(t.Context()); err != nil || len(again) > 0 {
		t.Errorf("again: removed %q, %v", again, err)
	}
}

func TestAPartThatCannotBeRemovedKeepsNoOtherFromIt(t *testing.T) {
	var history []string
	a, b, c, l := three(&history)
	b.fail, c.fail = fs.ErrPermission, errors.New("c is stuck")
	removed, err := l.Remove(t.Context())
	if want := []string{"the A"}; !slices.Equal(removed, want) || a.have != "" {
		t.Errorf("removed %q", removed)
	}
	if !errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "\n") || len(Errors(err)) != 2 {
		t.Errorf("got %v", err)
	}
	if want := "remove c: c is stuck"; Errors(err)[0].Error() != want {
		t.Errorf("got %q, want %q", Errors(err)[0], want)
	}
	c.fail = nil
	if removed, err = l.Remove(t.Context()); !slices.Equal(removed, []string{"the C"}) || len(Errors(err)) != 1 {
		t.Errorf("after one is free: %q, %v", removed, err)
	}
}

func TestCheckNamesWhatIsWrongAndChangesNothing(t *testing.T) {
	var history []string
	a, b, c, l := three(&history)
	a.have, b.fail = "", errors.New("unreadable")
	for range 2 {
		found := l.Check(t.Context())
		if len(found) != 3 || !slices.Equal(found[0].Wrong, []string{"a is missing"}) || found[0].Part != "a" {
			t.Fatalf("got %+v", found)
		}
		if found[1].Err == nil || found[2].Err != nil || len(found[2].Wrong) > 0 {
			t.Errorf("got %+v", found)
		}
	}
	if a.have != "" || c.have != "C" {
		t.Error("something was changed")
	}
}

func board() *problem.Board { return problem.NewBoard(slog.New(slog.DiscardHandler)) }

func TestKeeperLogsChangesOnceAndReportsFailures(t *testing.T) {
	var history []string
	a, b, c, _ := three(&history)
	var log strings.Builder
	var changed []string
	k := Keeper{Log: slog.New(slog.NewTextHandler(&log, nil)), Board: board(), Ensured: func(p Part, changes []string, _ error) {
		if len(changes) > 0 {
			changed = append(changed, p.Name())
		}
	}}
	a.have = ""
	b.fail = Join(Advise(errors.New("b is stuck"), "push it"), errors.New("b is old"))
	c.fail = ErrPending
	k.Board.Report("c", problem.Problem{Text: "from before"})
	for range 3 {
		k.Keep(t.Context(), slog.LevelWarn, a, b, c)
	}
	if n := strings.Count(log.String(), "a was missing"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
	if !slices.Equal(changed, []string{"a"}) {
		t.Errorf("told of changes of %q", changed)
	}
	all := k.Board.All()
	if len(all) != 3 || all[0].Text != "b is stuck" || all[0].Advice != "push it" || all[1].Text != "b is old" || all[2].Text != "from before" {
		t.Errorf("problems: %+v", all)
	}
	b.fail, c.fail = nil, nil
	k.Keep(t.Context(), slog.LevelWarn, a, b, c)
	if all := k.Board.All(); len(all) > 0 {
		t.Errorf("problems that have ended: %+v", all)
	}
}

func TestKeeperReportsNothingAfterTheEnd(t *testing.T) {
	var history []string
	a, b, _, _ := three(&history)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k := Keeper{Log: slog.New(slog.DiscardHandler), Board: board()}
	a.fail = context.Canceled
	k.Keep(ctx, slog.LevelWarn, a, b)
	if all := k.Board.All(); len(all) > 0 || slices.Contains(history, "ensure b") {
		t.Errorf("problems %+v after %q", all, history)
	}
}

func TestErrorsAreTakenApart(t *testing.T) {
	if Join(nil, nil) != nil || Advise(nil, "x") != nil || Errors(nil) != nil || Problems(nil) != nil {
		t.Error("no error became one")
	}
	inner := errors.New("inner")
	err := Join(Join(inner, nil), Join(errors.New("x"), Advise(errors.New("y"), "do")), fmt.Errorf("%w: %w", ErrPending, inner))
	if got := len(Errors(err)); got != 4 {
		t.Errorf("%d errors of %v", got, err)
	}
	if !errors.Is(err, inner) || len(Problems(err)) != 3 {
		t.Errorf("got %v", Problems(err))
	}
}
