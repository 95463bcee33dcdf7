package route

import (
	"fmt"
	"net/netip"
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
}

// snapshot is one state of the table. It is never changed.
type snapshot struct {
	hops      bart.Table[*NextHop]
	endpoints map[netip.Addr]struct{} // of all peers, for telling strangers from liars
}

var emptySnapshot = new(snapshot)

// load returns the current state, to be used for one batch.
func (t *Table) load() *snapshot {
	if s := t.current.Load(); s != nil {
		return s
	}
	return emptySnapshot
}

// Store replaces the whole table at once. entries is not kept. If one of them
// cannot be used, Store says which, and the table stays as it was.
func (t *Table) Store(entries []Entry) error {
	s := &snapshot{endpoints: make(map[netip.Addr]struct{}, len(entries))}
	for _, e := range entries {
		hop, err := newNextHop(e)
		if err != nil {
			return fmt.Errorf("route: %s: %w", e.Prefix, err)
		}
		if other, ok := s.hops.Get(hop.Prefix); ok {
			return fmt.Errorf("route: %s: two routes, %s and %s", e.Prefix, other, hop)
		}
		s.hops.Insert(hop.Prefix, hop)
		if hop.Endpoint.IsValid() {
			s.endpoints[hop.Endpoint.Addr()] = struct{}{}
		}
	}
	t.current.Store(s)
	return nil
}

// newNextHop checks an entry and adds the endpoint as it is now.
func newNextHop(e Entry) (*NextHop, error) {
	hop := &NextHop{Entry: e}
	if e.Peer != nil {
		ep := e.Peer.Endpoint()
		hop.Endpoint = netip.AddrPortFrom(ep.Addr().Unmap(), ep.Port())
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
func (s *snapshot) knows(addr netip.Addr) bool {
	_, ok := s.endpoints[addr]
	return ok
}
