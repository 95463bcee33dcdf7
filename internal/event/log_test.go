// SPDX-License-Identifier: Apache-2.0

package event

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/control"
)

// clock is a time that a test moves.
type clock struct{ time.Time }

func (c *clock) now() time.Time          { return c.Time }
func (c *clock) pass(d time.Duration)    { c.Time = c.Add(d) }
func newClock() *clock                   { return &clock{time.Unix(1_800_000_000, 0)} }
func logAt(c *clock) *Log                { return newLog(slog.New(slog.DiscardHandler), c.now) }
func of(kind, what string) control.Event { return control.Event{Kind: kind, What: what, Text: what} }

func about(node, what string) control.Event {
	e := of(control.EventMember, what)
	e.Node, e.Text = control.NodeName{ID: node, Name: node}, node+" is "+what
	return e
}

func TestAnEventThatRepeatsIsOneEntryWithACount(t *testing.T) {
	c := newClock()
	l := logAt(c)
	l.Add(about("a", "up"))
	l.Add(about("a", "dead"))
	first := l.After(0)
	for range 50 {
		c.pass(time.Second)
		l.Add(about("a", "up"))
		l.Add(about("a", "dead"))
	}
	if got := l.After(0); len(got) != 2 || got[1].Count != 1 {
		t.Errorf("repeats are shown at once: %+v", got)
	}
	l.showHeld(false)
	got := l.After(0)
	if len(got) != 2 {
		t.Fatalf("%d entries, want 2: %+v", len(got), got)
	}
	for i, e := range got {
		if e.Count != 51 || e.ID != first[i].ID || e.Seq <= 2 || !e.First.Equal(first[i].First) || e.Time.Sub(e.First) != 50*time.Second {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	c.pass(again + time.Second)
	l.Add(about("a", "up"))
	if got := l.After(0); len(got) != 3 || got[2].Count != 1 {
		t.Errorf("after a long time it is the same entry: %+v", got)
	}
}

// One member that flaps for a day costs few lines.
func TestRepeatsAreShownEverMoreRarely(t *testing.T) {
	c := newClock()
	l := logAt(c)
	for range 24 * 3600 {
		l.Add(about("a", "up"))
		l.Add(about("a", "dead"))
		c.pass(time.Second)
		l.showHeld(false)
	}
	if l.seq > 2*(24*60+10) {
		t.Errorf("%d lines in a day", l.seq)
	}
	if got := l.After(0); len(got) != 2 || got[0].Count < 24*3600-60 {
		t.Errorf("got %+v", got)
	}
}

func TestAThousandNodesAtOncePushNothingOut(t *testing.T) {
	c := newClock()
	l := logAt(c)
	l.Add(of(control.EventRepair, "restored"))
	for round := range 10 {
		for i := range 1000 {
			l.Add(about(fmt.Sprint("node", i), "dead"))
			l.Add(about(fmt.Sprint("node", i), "up"))
		}
		c.pass(15 * time.Minute)
		if got := l.After(0); len(got) > 1+2*(round+1)*(crowdBurst+1) {
			t.Fatalf("round %d: %d entries", round, len(got))
		}
	}
	l.showHeld(true)
	got := l.After(0)
	if got[0].Kind != control.EventRepair {
		t.Errorf("the first is %+v", got[0])
	}
	many := 0
	for _, e := range got {
		if e.Subject == crowdSubject {
			many += e.Count
		}
	}
	if want := 10 * 2 * (1000 - crowdBurst); many != want {
		t.Errorf("%d events are in entries of many, want %d", many, want)
	}
}

func TestOneKindDoesNotPushOutTheOthers(t *testing.T) {
	c := newClock()
	l := logAt(c)
	for i := range 20 {
		e := of(control.EventLease, "held")
		e.Subject = fmt.Sprint(i)
		l.Add(e)
	}
	for i := range 3 * Limit {
		c.pass(time.Minute)
		l.Add(about(fmt.Sprint("node", i), "up"))
	}
	got := l.After(0)
	leases := 0
	for i, e := range got {
		if e.Kind == control.EventLease {
			leases++
		}
		if i > 0 && e.Seq <= got[i-1].Seq {
			t.Fatalf("not ascending at %d", i)
		}
	}
	if len(got) != Limit || leases != 20 {
		t.Errorf("%d entries, %d of the rare kind", len(got), leases)
	}
}

// A problem is told by its text: one part can have several.
func TestTwoProblemsOfOnePartAreTwoEntries(t *testing.T) {
	l := logAt(newClock())
	for _, text := range []string{"no path to a", "no path to b", "no path to a"} {
		l.Add(control.Event{Kind: control.EventProblem, What: "began", Subject: "path", Text: text})
	}
	if got := l.After(0); len(got) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestTextsBecomeOneShortLine(t *testing.T) {
	l := logAt(newClock())
	l.Add(control.Event{Kind: "member", What: strings.Repeat("x", 99), Text: "a\nb\x1b[2J" + strings.Repeat("é", 999), Why: "\xff"})
	e := l.After(0)[0]
	if len(e.What) > maxWord || len(e.Text) > 500 || strings.ContainsAny(e.Text+e.Why, "\n\x1b\xff") {
		t.Errorf("got %+v", e)
	}
}

func TestWaitReturnsWithTheNextEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(slog.New(slog.DiscardHandler))
		l.Add(about("a", "up"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		got := make(chan []control.Event)
		go func() { got <- l.Wait(ctx, 1) }()
		synctest.Wait()
		l.Add(about("b", "up"))
		if events := <-got; len(events) != 1 || events[0].Node.ID != "b" {
			t.Errorf("got %+v", events)
		}
		if events := l.Wait(ctx, 2); len(events) != 0 || ctx.Err() == nil {
			t.Errorf("got %+v before the end of ctx", events)
		}
	})
}
