// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net/netip"

	"flanneld/peers/internal/record"
)

// isKnown reports whether a node holds a lease, or has another start that is
// up; r.mu is held.
func (r *members) isKnown(id record.NodeID) bool { return r.holders[id] || len(r.nodes[id]) > 0 }

// setHolders sets which nodes hold a lease, and where their gossip is.
func (r *members) setHolders(holders map[record.NodeID]bool, at map[netip.AddrPort]bool) {
	addrs := make(map[netip.Addr]bool, len(at))
	for ep := range at {
		addrs[ep.Addr()] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holders, r.holdersAt, r.holderAddrs = holders, at, addrs
}

// isHolder reports whether a node holds a lease.
func (r *members) isHolder(id record.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holders[id]
}

// standing is what is known of a sender from its endpoint.
type standing int

const (
	stranger standing = iota
	newcomer          // a member that holds no lease
	holder            // a lease holder, whether it is up or not
)

// standing returns what is at an endpoint.
func (r *members) standing(at netip.AddrPort) standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.holdersAt[at]:
		return holder
	case r.at[at] == nil:
		return stranger
	case len(r.holders) == 0 || r.holders[r.at[at].id]:
		return holder
	}
	return newcomer
}

// isMemberAddr reports whether a member, or a lease holder, is at an address.
func (r *members) isMemberAddr(addr netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holderAddrs[addr] || r.addrs[addr] > 0
}

// found reports whether a lease holder that is no member has proven that it is
// there.
func (r *members) found() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.there) > 0
}

// takeFound returns up to so many of their endpoints, each once.
func (r *members) takeFound(most int) []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	var at []netip.AddrPort
	for ep := range r.there {
		if len(at) == most {
			break
		}
		if delete(r.there, ep); r.at[ep] == nil {
			at = append(at, ep)
		}
	}
	return at
}
