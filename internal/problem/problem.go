// SPDX-License-Identifier: Apache-2.0

// Package problem keeps what is wrong on this host right now. Every part that
// looks at something reports it in this one place. The log, `status` and its
// exit status all read the same list.
package problem

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Problem is one thing that keeps flanneld, or the traffic of containers, from
// working as it should.
type Problem struct {
	// Text says what is wrong: one line, lower case, with the name of the
	// interface, rule, file or node at fault.
	Text string
	// Advice says what to type or to change: one line. Empty where flanneld
	// mends it by itself.
	Advice string
}

// Reported is a problem with its reporter.
type Reported struct {
	Problem
	Part  string    // the part that found it, such as "firewall" or "underlay"
	Since time.Time // when that part reported this text first
}

// Board is the list. Its methods may be called concurrently. The zero value is
// not usable; see NewBoard.
type Board struct {
	log *slog.Logger

	mu    sync.Mutex
	tell  func(r Reported, began bool)
	parts map[string][]Reported
}

// NewBoard makes an empty list. A problem that appears or ends is logged once.
func NewBoard(log *slog.Logger) *Board {
	return &Board{log: log, parts: map[string][]Reported{}, tell: func(Reported, bool) {}}
}

// Follow has tell called with each problem that begins or ends. It is called
// with the board locked: it must neither wait nor call the board.
func (b *Board) Follow(tell func(r Reported, began bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tell = tell
}

// Report replaces all problems of a part; without problems the part is well.
// A problem is the same one as before when its text is.
func (b *Board) Report(part string, problems ...Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.parts[part]
	now := make([]Reported, 0, len(problems))
	for _, p := range problems {
		if indexOf(now, p) >= 0 {
			continue
		}
		r := Reported{Problem: p, Part: part, Since: time.Now()}
		if i := indexOf(before, p); i >= 0 {
			r.Since = before[i].Since
		} else {
			b.log.Warn("problem found", "part", part, "problem", p.Text, "advice", p.Advice)
			b.tell(r, true)
		}
		now = append(now, r)
	}
	for _, old := range before {
		if indexOf(now, old.Problem) < 0 {
			b.log.Info("problem ended", "part", part, "problem", old.Text)
			b.tell(old, false)
		}
	}
	b.parts[part] = now
	if len(now) == 0 {
		delete(b.parts, part)
	}
}

func indexOf(all []Reported, p Problem) int {
	return slices.IndexFunc(all, func(r Reported) bool { return r.Text == p.Text })
}

// All returns the problems of all parts, ordered by part, then as they were
// reported.
func (b *Board) All() []Reported {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Reported
	for _, part := range slices.Sorted(maps.Keys(b.parts)) {
		all = append(all, b.parts[part]...)
	}
	return all
}
