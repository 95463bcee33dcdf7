// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// Change is a change of the route of one prefix.
type Change struct {
	Old *NextHop // nil for a route that was added
	New *NextHop // nil for a route that was removed
}

// Prefix is the prefix of the route that changed.
func (c Change) Prefix() netip.Prefix {
	if c.New != nil {
		return c.New.Prefix
	}
	return c.Old.Prefix
}

// Sink takes the differences that a Feed reports. *Table is one.
type Sink interface {
	// Apply takes changes to different prefixes, in no particular order. The
	// first call after Feed.Add has every route as an added one. Later calls
	// continue from the one before. The slice is valid during the call only;
	// next hops stay valid and must not be changed.
	//
	// Apply must return soon and must not call the Feed. There is no error: a
	// sink that cannot carry out a change keeps it and tries again by itself.
	Apply(changes []Change)
}

// Feed holds all routes and reports each difference to its sinks. The zero
// value has neither. All methods may be called from any goroutine.
type Feed struct {
	mu     sync.Mutex
	sinks  []Sink
	round  uint64 // number of calls of Store
	routes map[netip.Prefix]*record
	order  []*record // of the last entries: the next ones mostly come in this order
}

// record is what the feed remembers of a prefix from one Store to the next.
type record struct {
	hop   *NextHop // as sinks know it; nil: none
	round uint64   // of the last Store that named the prefix
}

// Add adds a sink and gives it every route. Sinks are served in the order in
// which they were added.
func (f *Feed) Add(s Sink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sinks = append(f.sinks, s)
	var all []Change
	for _, r := range f.routes {
		if r.hop != nil {
			all = append(all, Change{New: r.hop})
		}
	}
	if len(all) > 0 {
		s.Apply(all)
	}
}

// Remove removes a sink. The sink keeps the routes that it has.
func (f *Feed) Remove(s Sink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sinks = slices.DeleteFunc(f.sinks, func(other Sink) bool { return other == s })
}

// Store replaces all routes and reports the differences to every sink. entries
// is not kept. If an entry cannot be used, the error names it, and no route
// changes.
//
// Only changed routes cost more than a comparison. Store shares processors and
// caches with the lanes, and a network of a thousand nodes can have many
// changes a second.
func (f *Feed) Store(entries []Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	changed, err := f.compare(entries)
	if err != nil {
		return err
	}
	changes := f.forget(len(entries), len(changed))
	for _, hop := range changed {
		r := f.routes[hop.Prefix]
		changes = append(changes, Change{Old: r.hop, New: hop})
		r.hop = hop
	}
	if len(changes) == 0 {
		return nil
	}
	for _, s := range f.sinks {
		s.Apply(changes)
	}
	return nil
}

// compare returns the next hops of entries that are new or have changed. It
// marks the record of each entry as named in this round.
func (f *Feed) compare(entries []Entry) (changed []*NextHop, err error) {
	if f.routes == nil {
		f.routes = make(map[netip.Prefix]*record, len(entries))
	}
	f.round++
	for i, e := range entries {
		if i == len(f.order) {
			f.order = append(f.order, nil)
		}
		r := f.order[i]
		if r == nil || !r.hop.is(e) {
			r = f.record(e.Prefix)
		}
		if r.round == f.round {
			return nil, fmt.Errorf("route: %s: two routes, the second %s", e.Prefix, &NextHop{Entry: e})
		}
		if !r.hop.is(e) {
			hop, err := newNextHop(e)
			if err != nil {
				return nil, fmt.Errorf("route: %s: %w", e.Prefix, err)
			}
			changed = append(changed, hop)
		}
		r.round, f.order[i] = f.round, r
	}
	clear(f.order[len(entries):])
	f.order = f.order[:len(entries)]
	return changed, nil
}

// record returns the record of a prefix, which may be new.
func (f *Feed) record(prefix netip.Prefix) *record {
	r, ok := f.routes[prefix]
	if !ok {
		r = new(record)
		f.routes[prefix] = r
	}
	return r
}

// forget deletes the records of prefixes that the n entries of this round do
// not name, and returns their removal, with room for more changes.
func (f *Feed) forget(n, more int) (changes []Change) {
	gone := len(f.routes) - n
	if gone+more == 0 {
		return nil
	}
	changes = make([]Change, 0, gone+more)
	if gone == 0 {
		return changes
	}
	for prefix, r := range f.routes {
		if r.round == f.round {
			continue
		}
		if r.hop != nil {
			changes = append(changes, Change{Old: r.hop})
		}
		delete(f.routes, prefix)
	}
	return changes
}
