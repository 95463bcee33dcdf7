// SPDX-License-Identifier: Apache-2.0

package record

import (
	"fmt"
	"net/netip"
)

// Endpoint is an underlay address of a node.
type Endpoint struct {
	_    struct{} `cbor:",toarray"`
	Addr netip.AddrPort
	// Kind says what sort of address it is: 0, the node's own. A reader
	// leaves kinds that it does not know alone.
	Kind uint8
	// Priority orders endpoints of one kind; the lower one is preferred.
	Priority uint8
}

const (
	maxEndpoints = 8  // in each list of a node record
	sealKeySize  = 32 // bytes: an X25519 public key (RFC 7748)
)

// EndpointsOf is the list of a node with one address.
func EndpointsOf(at netip.AddrPort) []Endpoint { return []Endpoint{{Addr: at}} }

// Endpoint is where datagrams go: the first IPv4 endpoint.
func (r *NodeRecord) Endpoint() netip.AddrPort { return first4(r.Endpoints) }

// Gossip is where gossip goes: the first IPv4 endpoint.
func (r *NodeRecord) Gossip() netip.AddrPort { return first4(r.GossipEndpoints) }

// first4 is the first IPv4 endpoint of the node's own kind.
func first4(list []Endpoint) netip.AddrPort {
	for _, e := range list {
		if e.Kind == 0 && e.Addr.Addr().Is4() {
			return e.Addr
		}
	}
	return netip.AddrPort{}
}

// checkEndpoints checks one list of a node record.
func (t *Table) checkEndpoints(what string, list []Endpoint) error {
	if len(list) > maxEndpoints {
		return fmt.Errorf("%d of one %s, at most %d", len(list), what, maxEndpoints)
	}
	for _, e := range list {
		if !t.usableEndpoint(e.Addr) {
			return fmt.Errorf("%s %s cannot be a peer's", what, e.Addr)
		}
	}
	if !first4(list).IsValid() {
		return fmt.Errorf("no IPv4 %s", what)
	}
	return nil
}

var broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// usableEndpoint refuses addresses at which no peer can be reached, or which
// would send our datagrams back to us. These are addresses inside the overlay,
// and loopback unless our own underlay is loopback.
func (t *Table) usableEndpoint(e netip.AddrPort) bool {
	a := e.Addr()
	return e.Port() != 0 && a.IsValid() && !a.Is4In6() && a.Zone() == "" &&
		!a.IsUnspecified() && !a.IsMulticast() && a != broadcast4 &&
		!t.Network.Prefix.Contains(a) && !t.Network.Prefix6.Contains(a) &&
		(t.loopback || !a.IsLoopback()) && (a.Is4() || !a.IsLinkLocalUnicast())
}
