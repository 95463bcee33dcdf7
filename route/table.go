package route

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// Kind says what becomes of packets to a prefix.
type Kind uint8

const (
	// Via sends them to the peer.
	Via Kind = iota + 1

	// Local is this node's own lease. Packets that come out of the device for
	// it have no better route on this host: host unreachable.
	Local

	// Unreachable is the lease of a peer that is dead: host unreachable. What
	// the peer sends is still accepted; it may only have lost its gossip.
	Unreachable
)

// String is the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case Via:
		return "via"
	case Local:
		return "local"
	case Unreachable:
		return "unreachable"
	}
	return "none"
}

// MarshalText returns String, for JSON.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Entry is one route: whose prefix this is and how to get there.
type Entry struct {
	Prefix netip.Prefix
	Kind   Kind
	Peer   *Peer // the holder; nil for Local
}

// NextHop is what a lookup yields.
type NextHop struct {
	Entry

	// Endpoint is the peer's at the time of Store.
	Endpoint netip.AddrPort
}

// Table maps overlay addresses to next hops. The zero value is an empty table.
// All methods may be called from any goroutine; none waits for a lane,
// and a lane uses what Store stored from its next batch on.
type Table struct {
	current atomic.Pointer[snapshot]

	mu     sync.Mutex // of who stores
	round  uint64     // how often that was
	routes map[netip.Prefix]*record
	order  []*record // in that of the last entries: the next are likely to be the same
}

// record is what is remembered of a prefix from one Store to the next.
type record struct {
	hop   *NextHop // in the current snapshot; nil: none
	round uint64   // of the last Store that named it
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

// Store replaces the whole table at once. entries is not kept. If one of them
// cannot be used, Store says which, and the table stays as it was.
//
// What differs from the table as it is makes the cost: the loops share processor
// and memory with whoever stores, and a network of a thousand nodes can have many
// changes a second.
func (t *Table) Store(entries []Entry) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	changed, err := t.compare(entries)
	if err != nil {
		return err
	}
	gone := t.forget(len(entries))
	if len(changed)+len(gone) == 0 {
		return nil
	}
	next := t.load().edit(len(changed) + len(gone))
	for _, old := range gone {
		next.replace(old, nil)
	}
	for _, hop := range changed {
		r := t.routes[hop.Prefix]
		next.replace(r.hop, hop)
		r.hop = hop
	}
	t.current.Store(&next.snapshot)
	return nil
}

// compare returns the next hops of those entries that are new or have changed,
// and notes in every entry's record that it was named.
func (t *Table) compare(entries []Entry) (changed []*NextHop, err error) {
	if t.routes == nil {
		t.routes = make(map[netip.Prefix]*record, len(entries))
	}
	t.round++
	for i, e := range entries {
		if i == len(t.order) {
			t.order = append(t.order, nil)
		}
		r := t.order[i]
		if r == nil || !r.hop.is(e) {
			r = t.record(e.Prefix)
		}
		if r.round == t.round {
			return nil, fmt.Errorf("route: %s: two routes, the second %s", e.Prefix, &NextHop{Entry: e})
		}
		if !r.hop.is(e) {
			hop, err := newNextHop(e)
			if err != nil {
				return nil, fmt.Errorf("route: %s: %w", e.Prefix, err)
			}
			changed = append(changed, hop)
		}
		r.round, t.order[i] = t.round, r
	}
	clear(t.order[len(entries):])
	t.order = t.order[:len(entries)]
	return changed, nil
}

// record returns what is remembered of a prefix, which may be nothing yet.
func (t *Table) record(prefix netip.Prefix) *record {
	r, ok := t.routes[prefix]
	if !ok {
		r = new(record)
		t.routes[prefix] = r
	}
	return r
}

// forget removes the records of prefixes that were not named by the n entries of
// this Store, and returns the next hops they had.
func (t *Table) forget(n int) (gone []*NextHop) {
	if len(t.routes) == n {
		return nil
	}
	for prefix, r := range t.routes {
		if r.round == t.round {
			continue
		}
		if r.hop != nil {
			gone = append(gone, r.hop)
		}
		delete(t.routes, prefix)
	}
	return gone
}

// newNextHop checks an entry and adds the endpoint as it is now.
func newNextHop(e Entry) (*NextHop, error) {
	hop := &NextHop{Entry: e}
	if e.Peer != nil {
		hop.Endpoint = endpointOf(e.Peer)
	}
	switch {
	case !e.Prefix.IsValid() || !e.Prefix.Addr().Is4() || e.Prefix != e.Prefix.Masked():
		return nil, fmt.Errorf("not an IPv4 prefix")
	case e.Kind != Via && e.Kind != Local && e.Kind != Unreachable:
		return nil, fmt.Errorf("kind %d: want Via, Local or Unreachable", e.Kind)
	case e.Kind == Local && e.Peer != nil:
		return nil, fmt.Errorf("local, but held by %s", e.Peer.Name())
	case e.Kind == Via && e.Peer == nil:
		return nil, fmt.Errorf("via no peer")
	case e.Kind == Via && (!hop.Endpoint.Addr().Is4() || hop.Endpoint.Port() == 0):
		return nil, fmt.Errorf("via %s: endpoint %s: not an IPv4 address and port", e.Peer.Name(), hop.Endpoint)
	}
	return hop, nil
}

// endpointOf is the peer's endpoint as it is now.
func endpointOf(p *Peer) netip.AddrPort {
	ep := p.Endpoint()
	return netip.AddrPortFrom(ep.Addr().Unmap(), ep.Port())
}

// is reports whether the next hop, which may be nil, is what the entry would
// yield now.
func (h *NextHop) is(e Entry) bool {
	return h != nil && h.Entry == e && (e.Peer == nil || h.Endpoint == endpointOf(e.Peer))
}

// underlay is the address of the next hop, which may be nil, on the underlay.
func (h *NextHop) underlay() netip.Addr {
	if h == nil {
		return netip.Addr{}
	}
	return h.Endpoint.Addr()
}

// String is for error messages: "via NAME", "local", "unreachable NAME".
func (h *NextHop) String() string {
	if h.Peer == nil {
		return h.Kind.String()
	}
	return h.Kind.String() + " " + h.Peer.Name()
}

// Lookup returns the next hop of an overlay address, as the next batch would
// use it: the longest prefix wins. It is for those who show routes.
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
