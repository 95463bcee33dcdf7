// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flanneld/internal/plan"
	"flanneld/internal/probe"
)

var (
	good   = probe.Result{State: probe.Works, Full: true, Sums: probe.SumsGood}
	lost   = probe.Result{State: probe.Failed}
	begins = time.Unix(0, 0)
)

// desk is a book with a clock.
type desk struct {
	*Book
	t   *testing.T
	now time.Time
}

func newDesk(t *testing.T, paths ...plan.Path) *desk {
	d := &desk{Book: NewBook(func() float64 { return 0 }), t: t, now: begins}
	d.want(paths...)
	return d
}

func (d *desk) want(paths ...plan.Path) Changes {
	p := Peer{ID: "b"}
	for _, path := range paths {
		p.Ways = append(p.Ways, Way{Path: path, Key: "k", Checksums: path == plan.PathDirect || path == plan.PathVXLAN})
	}
	return d.Update(d.now, []Peer{p})
}

func (d *desk) see(p plan.Path, r probe.Result) Changes {
	return d.Observe(d.now, p, map[string]probe.Result{"b": r, "stranger": r})
}

func (d *desk) pass(t time.Duration) Changes {
	d.now = d.now.Add(t)
	return d.Tick(d.now)
}

// is holds what is known of a path against "state role"; role is "-" where the
// path is not probed.
func (d *desk) is(p plan.Path, want string) {
	d.t.Helper()
	roles := map[probe.Role]string{probe.Only: "only", probe.Chosen: "chosen", probe.Trial: "trial", probe.Reserve: "reserve"}
	role, ok := d.Role("b", p)
	name := roles[role]
	if !ok {
		name = "-"
	}
	if got := d.Proof("b", p).State.String() + " " + name; got != want {
		d.t.Errorf("%v: %s is %q, want %q (%s)", d.now.Sub(begins), p, got, want, d.Proof("b", p).Why)
	}
}

func TestAPathIsProvenBySmallLargeAndChecksums(t *testing.T) {
	for _, c := range []struct {
		name string
		r    probe.Result
		path plan.Path
		want string
	}{
		{"nothing yet", probe.Result{}, plan.PathVXLAN, "unproven chosen"},
		{"small ones", probe.Result{State: probe.Works}, plan.PathVXLAN, "unproven chosen"},
		{"large ones", probe.Result{State: probe.Works, Full: true}, plan.PathVXLAN, "unproven chosen"},
		{"checksums", good, plan.PathVXLAN, "proven chosen"},
		{"a filter drops TCP", probe.Result{State: probe.Works, Full: true, Sums: probe.SumsUnclear}, plan.PathVXLAN, "proven chosen"},
		{"broken checksums", probe.Result{State: probe.Works, Full: true, Sums: probe.SumsBroken}, plan.PathVXLAN, "failed -"},
		{"large ones are lost", probe.Result{State: probe.SmallOnly, Tried: 1450}, plan.PathVXLAN, "failed -"},
		{"all are lost", lost, plan.PathVXLAN, "failed -"},
		{"no checksums by IPIP", probe.Result{State: probe.Works, Full: true}, plan.PathIPIP, "proven chosen"},
		{"the user path works", probe.Result{State: probe.Works}, plan.PathUDP, "proven only"},
		{"the user path never fails", lost, plan.PathUDP, "unproven only"},
	} {
		d := newDesk(t, c.path)
		d.see(c.path, c.r)
		t.Run(c.name, func(t *testing.T) { d.t = t; d.is(c.path, c.want) })
	}
}

func TestAFailureSaysWhy(t *testing.T) {
	for want, r := range map[string]probe.Result{
		"probes are not answered":        lost,
		"packets of 1450 bytes are lost": {State: probe.SmallOnly, Tried: 1450},
		"arrive broken":                  {State: probe.Works, Sums: probe.SumsBroken},
		"does not send: no such device":  {State: probe.Failed, Refused: errors.New("no such device")},
		"is being tried":                 {},
	} {
		d := newDesk(t, plan.PathVXLAN)
		d.see(plan.PathVXLAN, r)
		if why := d.Proof("b", plan.PathVXLAN).Why; !strings.Contains(why, want) {
			t.Errorf("got %q, want %q", why, want)
		}
	}
}

// The most preferred path that works is the last one that is probed. The user
// path stays in reserve.
func TestLessPreferredPathsRest(t *testing.T) {
	d := newDesk(t, plan.PathDirect, plan.PathVXLAN, plan.PathUDP)
	d.is(plan.PathDirect, "unproven chosen")
	d.is(plan.PathVXLAN, "unproven chosen")
	d.is(plan.PathUDP, "unproven only")
	d.see(plan.PathVXLAN, good)
	d.is(plan.PathVXLAN, "proven chosen")
	d.is(plan.PathUDP, "unproven reserve")
	if changed := d.see(plan.PathDirect, good); !changed.Proofs || !changed.Roles {
		t.Errorf("a better path changes %+v", changed)
	}
	d.is(plan.PathDirect, "proven chosen")
	d.is(plan.PathVXLAN, "unproven -")
	if why := d.Proof("b", plan.PathVXLAN).Why; !strings.Contains(why, "a better path works") {
		t.Errorf("why: %q", why)
	}
	if changed := d.see(plan.PathDirect, lost); !changed.Proofs || !changed.Roles {
		t.Errorf("a broken path changes %+v", changed)
	}
	d.is(plan.PathDirect, "failed -")
	d.is(plan.PathVXLAN, "unproven chosen")
	d.is(plan.PathUDP, "unproven only")
	if _, ok := d.Result("b", plan.PathDirect); !ok {
		t.Error("the last result is forgotten")
	}
	if changed := d.see(plan.PathDirect, good); changed != (Changes{}) {
		t.Errorf("a late answer changes %+v", changed)
	}
	// What stands behind the user path is never tried.
	d = newDesk(t, plan.PathUDP, plan.PathVXLAN)
	d.is(plan.PathUDP, "unproven only")
	d.is(plan.PathVXLAN, "unproven -")
}

// fail fails a path and returns how long it rests.
func (d *desk) fail(p plan.Path) time.Duration {
	d.t.Helper()
	d.see(p, lost)
	d.is(p, "failed -")
	if d.Next().After(d.entry("b", p).until) {
		d.t.Errorf("the next time is %v, after %v", d.Next(), d.entry("b", p).until)
	}
	return d.entry("b", p).until.Sub(d.now)
}

func TestAFailedPathIsTriedMoreAndMoreRarely(t *testing.T) {
	d := newDesk(t, plan.PathVXLAN, plan.PathUDP)
	want := []time.Duration{30, 60, 120, 240, 480, 600, 600, 600, 600, 600, 600}
	for _, seconds := range want {
		rest := d.fail(plan.PathVXLAN)
		if rest != seconds*time.Second {
			t.Errorf("rests %v, want %v", rest, seconds*time.Second)
		}
		d.pass(rest - time.Millisecond)
		d.is(plan.PathVXLAN, "failed -")
		d.pass(time.Millisecond)
		d.is(plan.PathVXLAN, "failed trial")
	}
	d.see(plan.PathVXLAN, good)
	d.is(plan.PathVXLAN, "proven chosen")
	if rest := d.fail(plan.PathVXLAN); rest != longRest {
		t.Errorf("one that flaps rests %v", rest)
	}
	d.pass(longRest)
	d.see(plan.PathVXLAN, good)
	d.pass(goodTime)
	if rest := d.fail(plan.PathVXLAN); rest != firstRest {
		t.Errorf("one that was good for long rests %v", rest)
	}
}

// The programs of a peer that has just started, or still leaves another path,
// answer some seconds later.
func TestAShortcutThatWasNeverProvenIsTriedSoonAgain(t *testing.T) {
	d := newDesk(t, plan.PathShortcut, plan.PathUDP)
	for _, seconds := range []time.Duration{2, 4, 8, 16, 30, 60} {
		if rest := d.fail(plan.PathShortcut); rest != seconds*time.Second {
			t.Errorf("rests %v, want %v", rest, seconds*time.Second)
		}
		d.pass(seconds * time.Second)
		d.is(plan.PathShortcut, "failed trial")
	}
	d = newDesk(t, plan.PathShortcut, plan.PathUDP)
	d.see(plan.PathShortcut, good)
	d.is(plan.PathShortcut, "proven chosen")
	if rest := d.fail(plan.PathShortcut); rest != firstRest {
		t.Errorf("one that was proven rests %v, want %v", rest, firstRest)
	}
}

func TestTriesAreSpread(t *testing.T) {
	d := newDesk(t, plan.PathVXLAN)
	d.random = func() float64 { return 1 }
	if rest := d.fail(plan.PathVXLAN); rest != firstRest*6/5 {
		t.Errorf("rests %v", rest)
	}
}

func TestATryEndsSomeTime(t *testing.T) {
	d := newDesk(t, plan.PathVXLAN)
	d.see(plan.PathVXLAN, probe.Result{State: probe.Works})
	if next := d.Next(); next != d.now.Add(d.patience()) {
		t.Errorf("next at %v", next)
	}
	if changed := d.pass(d.patience()); !changed.Proofs {
		t.Errorf("changed %+v", changed)
	}
	d.is(plan.PathVXLAN, "failed -")
	if why := d.Proof("b", plan.PathVXLAN).Why; !strings.Contains(why, "too few") {
		t.Errorf("why: %q", why)
	}
}

// A neighbor that comes and goes, or a device, does not make a path that fails
// look like a new one. Other addresses do.
func TestWhatIsKnownStaysWhileAPathIsNotWorthATry(t *testing.T) {
	d := newDesk(t, plan.PathDirect, plan.PathUDP)
	rest := d.fail(plan.PathDirect)
	d.want(plan.PathUDP)
	if !d.Next().IsZero() {
		t.Error("waits for a path that is not worth a try")
	}
	d.want(plan.PathDirect, plan.PathUDP)
	d.is(plan.PathDirect, "failed -")
	d.pass(rest)
	d.see(plan.PathDirect, good)
	d.is(plan.PathDirect, "proven chosen")
	if changed := d.want(plan.PathUDP); !changed.Roles {
		t.Errorf("changed %+v", changed)
	}
	d.is(plan.PathDirect, "unproven -")
	d.want(plan.PathDirect, plan.PathUDP)
	d.is(plan.PathDirect, "unproven chosen")
	d.fail(plan.PathDirect)
	changed := d.Update(d.now, []Peer{{ID: "b", Ways: []Way{{Path: plan.PathDirect, Key: "another"}}}})
	if !changed.Proofs || !changed.Roles {
		t.Errorf("other addresses change %+v", changed)
	}
	d.is(plan.PathDirect, "unproven chosen")
	if changed := d.Update(d.now, nil); !changed.Roles || d.Proof("b", plan.PathDirect) != (plan.Proof{}) {
		t.Errorf("a peer that is gone: %+v", changed)
	}
	if _, ok := d.Role("b", plan.PathDirect); ok {
		t.Error("a peer that is gone is probed")
	}
	if _, ok := d.Result("b", plan.PathDirect); ok {
		t.Error("a peer that is gone has a result")
	}
}

// The same input changes nothing, so that a plan that is made anew calls for no
// other one.
func TestTheSameAgainChangesNothing(t *testing.T) {
	d := newDesk(t, plan.PathDirect, plan.PathVXLAN, plan.PathUDP)
	for name, r := range map[plan.Path]probe.Result{plan.PathDirect: lost, plan.PathVXLAN: good, plan.PathUDP: good} {
		d.see(name, r)
		if changed := d.see(name, r); changed != (Changes{}) {
			t.Errorf("%s: the same result changes %+v", name, changed)
		}
	}
	if changed := d.want(plan.PathDirect, plan.PathVXLAN, plan.PathUDP); changed != (Changes{}) {
		t.Errorf("the same paths change %+v", changed)
	}
	if changed := d.pass(time.Second); changed != (Changes{}) {
		t.Errorf("a second changes %+v", changed)
	}
}

// A path that flaps is used less and less.
func TestAPathThatFlapsIsUsedRarely(t *testing.T) {
	d := newDesk(t, plan.PathVXLAN, plan.PathUDP)
	uses, used := 0, time.Duration(0)
	const up, step = 5 * time.Second, time.Second
	for d.now.Before(begins.Add(2 * time.Hour)) { // up for 5 s, down for 5 s
		works := d.now.Sub(begins)%(2*up) < up
		if _, probed := d.Role("b", plan.PathVXLAN); probed {
			was := d.Proof("b", plan.PathVXLAN).State
			if works {
				d.see(plan.PathVXLAN, good)
			} else {
				d.see(plan.PathVXLAN, lost)
			}
			if d.Proof("b", plan.PathVXLAN).State == plan.Proven {
				used += step
				if was != plan.Proven {
					uses++
				}
			}
		}
		d.pass(step)
	}
	t.Logf("used %d times, %v in all", uses, used)
	if uses > 20 || used > 2*time.Minute {
		t.Errorf("used %d times, %v in all", uses, used)
	}
}
