// SPDX-License-Identifier: Apache-2.0

package chronicle

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"flanneld/internal/control"
)

// quiet is how long a reason has to be without drops for its drops to be over.
const quiet = time.Minute

// Drops follows the counters of drops. It is not safe for concurrent use.
type Drops struct {
	meaning func(reason string) string
	seen    map[string]uint64
	running map[string]*drops
}

// drops are those of one reason, from the first after a quiet time.
type drops struct {
	began, last time.Time
	before      uint64 // the counter when they began
}

// NewDrops makes one that has seen no drops. meaning says in a few words what a
// reason means.
func NewDrops(meaning func(reason string) string) *Drops {
	return &Drops{meaning: meaning, seen: map[string]uint64{}, running: map[string]*drops{}}
}

// Take takes what has been dropped since the start, by reason. Drops begin with
// the first one after a minute without, and end after such a minute.
func (d *Drops) Take(now time.Time, counted map[string]uint64) (events []control.Event) {
	for _, reason := range slices.Sorted(maps.Keys(counted)) {
		n, before := counted[reason], d.seen[reason]
		if n <= before {
			continue
		}
		d.seen[reason] = n
		if r := d.running[reason]; r != nil {
			r.last = now
			continue
		}
		d.running[reason] = &drops{began: now, last: now, before: before}
		events = append(events, control.Event{
			Kind: control.EventDrops, What: "began", Subject: reason, Text: fmt.Sprintf("packets are dropped: %s, %d so far", reason, n-before),
			Why: d.meaning(reason),
		})
	}
	for _, reason := range slices.Sorted(maps.Keys(d.running)) {
		r := d.running[reason]
		if now.Sub(r.last) < quiet {
			continue
		}
		delete(d.running, reason)
		events = append(events, control.Event{
			Kind: control.EventDrops, What: "ended", Subject: reason,
			Text: fmt.Sprintf("no more packets are dropped: %s, %d in %v", reason, d.seen[reason]-r.before, r.last.Sub(r.began).Round(time.Second)),
		})
	}
	return events
}
