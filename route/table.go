// SPDX-License-Identifier: Apache-2.0

package route

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// Table maps overlay addresses to next hops. It is the Sink that the lanes
// forward by. The zero value is an empty table. All methods may be called from
// any goroutine. No method waits for a lane, and each lane uses the changed
// routes from its next batch on.
type Table struct {
	current atomic.Pointer[snapshot]
	mu      sync.Mutex // serializes Apply
}

// snapshot is one state of the table. It is never changed.
type snapshot struct {
	hops      *bart.Table[*NextHop]
	endpoints *bart.Table[int] // underlay addresses, and how many hops have each; for telling strangers from liars
}

var emptySnapshot = newSnapshot()

// load returns the current state, to be used for one batch.
func (t *Table) load() *snapshot {
	if s := t.current.Load(); s != nil {
		return s
	}
	return emptySnapshot
}

// Apply changes the routes of some prefixes at once: the table then has New for
// each prefix, or no route if that is nil. It implements Sink.
func (t *Table) Apply(changes []Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.load().builder(len(changes))
	for _, c := range changes {
		next.replace(c.Prefix(), c.New)
	}
	t.current.Store(&next.snapshot)
}

// Lookup returns the next hop of an overlay address, as the next batch would
// use it: the longest prefix wins. It is for showing routes.
func (t *Table) Lookup(addr netip.Addr) (NextHop, bool) {
	hop, ok := t.load().hops.Lookup(addr.Unmap())
	if !ok {
		return NextHop{}, false
	}
	return *hop, true
}

// lookup returns the next hop of an IPv4 address, nil if there is none.
func (s *snapshot) lookup(addr netip.Addr) *NextHop {
	hop, _ := s.hops.Lookup(addr)
	return hop
}

// knows reports whether some peer has this underlay address.
func (s *snapshot) knows(addr netip.Addr) bool { return s.endpoints.Contains(addr) }
