// SPDX-License-Identifier: Apache-2.0

// Package event keeps the last events of this node: what happened, when and
// why. A [Log] bounds what a flood can do: repeats become one entry, many nodes
// with the same event become one entry, and one kind of event cannot push out
// the others. The entries are kept in a file over restarts.
package event

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"flanneld/internal/control"
)

// Limit is how many entries are kept.
const Limit = 1000

const (
	// again is how long after the last one an event counts as a repeat.
	again = 10 * time.Minute
	// A repeat is shown after pauseMin, and each later one of the same entry
	// after twice the time, up to pauseMax.
	pauseMin = 5 * time.Second
	pauseMax = time.Minute
)

// Log is a bounded list of events. Its methods may be called concurrently, and
// Add never waits for a disk. See New.
type Log struct {
	now func() time.Time
	log *slog.Logger

	mu      sync.Mutex
	seq     uint64
	entries []*entry // ascending by Seq, at most Limit
	byKey   map[key]*entry
	crowds  map[class]*crowd
	held    map[*entry]bool // entries with repeats that are not shown yet
	news    chan struct{}   // closed and replaced with each change
	unsaved []control.Event // shown and not in the file yet

	file file
}

// entry is an event with the repeats that are not shown yet.
type entry struct {
	control.Event
	key    key
	later  control.Event // the last repeat, where repeats are held
	repeat int           // how many are held
	due    time.Time     // when the next repeat can be shown
	pause  time.Duration
}

// key is what two events have to have in common to be the same one.
type key struct {
	kind, what, node, prefix, path, subject, text string
}

func keyOf(e control.Event) key {
	node := e.Node.ID
	if node == "" {
		node = e.Node.Name
	}
	k := key{kind: e.Kind, what: e.What, node: node, prefix: e.Prefix.String(), path: e.Path, subject: e.Subject}
	if e.Kind == control.EventProblem && e.Subject != crowdSubject {
		k.text = e.Text // a part can have several problems
	}
	return k
}

// New makes an empty log. What cannot be written to its file is said to log.
func New(log *slog.Logger) *Log { return newLog(log, time.Now) }

func newLog(log *slog.Logger, now func() time.Time) *Log {
	return &Log{
		now: now, log: log, byKey: map[key]*entry{}, crowds: map[class]*crowd{}, held: map[*entry]bool{}, news: make(chan struct{}),
	}
}

// Add adds an event. ID, Seq, Time, First and Count are set here. Texts are cut
// to one line.
func (l *Log) Add(e control.Event) {
	clean(&e)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	e.Time, e.First, e.Count = now, now, 1
	if old := l.byKey[keyOf(e)]; old != nil && now.Sub(old.last()) < again {
		l.repeat(old, e)
		return
	}
	if c := l.crowdOf(e, now); c != nil {
		c.join(l, e)
		return
	}
	l.insert(e)
}

// last is when the entry's event happened last.
func (e *entry) last() time.Time {
	if e.repeat > 0 {
		return e.later.Time
	}
	return e.Time
}

// insert shows a new entry, for which it makes room.
func (l *Log) insert(e control.Event) *entry {
	for len(l.entries) >= Limit {
		l.evict()
	}
	n := &entry{Event: e, key: keyOf(e), pause: pauseMin}
	l.byKey[n.key] = n
	l.entries = append(l.entries, n)
	l.show(n)
	return n
}

// repeat holds a repeat of an entry, until showHeld shows it.
func (l *Log) repeat(old *entry, e control.Event) {
	old.later = e
	old.repeat++
	l.held[old] = true
}

// show gives an entry that is the last of the list a Seq, for the readers and
// for the file.
func (l *Log) show(e *entry) {
	l.seq++
	e.Seq = l.seq
	if e.ID == 0 {
		e.ID = e.Seq
	}
	e.due = l.now().Add(e.pause)
	if len(l.unsaved) < Limit { // else the whole file is written anew
		l.unsaved = append(l.unsaved, e.Event)
	}
	close(l.news)
	l.news = make(chan struct{})
}

// evict removes the oldest entry of the kind that has the most.
func (l *Log) evict() {
	count, most := map[string]int{}, ""
	for _, e := range l.entries {
		if count[e.Kind]++; count[e.Kind] > count[most] {
			most = e.Kind
		}
	}
	l.remove(slices.IndexFunc(l.entries, func(e *entry) bool { return e.Kind == most }))
}

func (l *Log) remove(i int) *entry {
	e := l.entries[i]
	l.entries = slices.Delete(l.entries, i, i+1)
	if l.byKey[e.key] == e {
		delete(l.byKey, e.key)
	}
	delete(l.held, e)
	return e
}

// showHeld shows the repeats that are due; all: also those that are not.
func (l *Log) showHeld(all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	due := make([]*entry, 0, len(l.held))
	for e := range l.held {
		if all || !now.Before(e.due) {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b *entry) int {
		return cmp.Or(a.later.Time.Compare(b.later.Time), cmp.Compare(a.Seq, b.Seq))
	})
	for _, e := range due {
		l.showRepeats(e)
	}
}

// showRepeats moves an entry to the end of the list, with its repeats.
func (l *Log) showRepeats(e *entry) {
	id, first, count := e.ID, e.First, e.Count+e.repeat
	if i := slices.Index(l.entries, e); i >= 0 {
		l.remove(i)
	}
	e.Event = e.later
	e.ID, e.First, e.Count, e.repeat = id, first, count, 0
	e.pause = min(2*e.pause, pauseMax)
	l.byKey[e.key] = e
	l.entries = append(l.entries, e)
	l.show(e)
}

// After returns the entries with a higher Seq than after.
func (l *Log) After(after uint64) []control.Event {
	events, _ := l.after(after)
	return events
}

func (l *Log) after(after uint64) (events []control.Event, news <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, _ := slices.BinarySearchFunc(l.entries, after+1, func(e *entry, seq uint64) int {
		if e.Seq < seq {
			return -1
		}
		return 1
	})
	events = make([]control.Event, 0, len(l.entries)-i)
	for _, e := range l.entries[i:] {
		events = append(events, e.Event)
	}
	return events, l.news
}

// Wait is After that waits until there is an entry, or ctx ends.
func (l *Log) Wait(ctx context.Context, after uint64) []control.Event {
	for {
		events, news := l.after(after)
		if len(events) > 0 {
			return events
		}
		select {
		case <-news:
		case <-ctx.Done():
			return events
		}
	}
}
