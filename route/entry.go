// SPDX-License-Identifier: Apache-2.0

package route

import (
	"fmt"
	"net/netip"
)

// Kind is what happens to packets to a prefix.
type Kind uint8

const (
	// Via sends them to the peer.
	Via Kind = iota + 1

	// Local is this node's own lease. If packets for it come out of the device,
	// the host has no better route: host unreachable.
	Local

	// Unreachable is the lease of a dead peer: host unreachable. Packets from
	// the peer are still accepted, since it may have lost only its gossip.
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

// Entry is one route: the prefix, its holder, and the way to it.
type Entry struct {
	Prefix netip.Prefix
	Kind   Kind
	Peer   *Peer // the holder; nil for Local
}

// NextHop is the result of a lookup.
type NextHop struct {
	Entry

	// Endpoint is the peer's at the time of Store.
	Endpoint netip.AddrPort
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

// is reports whether the next hop, which may be nil, equals what newNextHop
// would make of the entry now.
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
