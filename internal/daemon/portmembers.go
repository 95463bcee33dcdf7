// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"net/netip"

	"flanneld/internal/config"
	"flanneld/internal/host/ports"
	"flanneld/peers"
)

// firstFreePort is the lowest port that another host can announce. Ports below
// belong to other programs (RFC 6335): an announcement must not cut off the
// users of this host from a service there.
const firstFreePort = 1024

// portMembers lists the hosts with ports that this host protects: itself, nodes
// that live or hold a subnet, and static peers that take datagrams.
func portMembers(s *peers.Snapshot, static []config.StaticPeer, bound netip.Addr, data, gossip uint16) []ports.Member {
	own := ports.Member{Addr: bound, Data: data, Gossip: gossip, Self: true}
	members := []ports.Member{own}
	add := func(m ports.Member) {
		if !m.Addr.Is4() || m.Addr.IsUnspecified() || m.Addr.IsMulticast() {
			return
		}
		if m.Data < firstFreePort && m.Data != data {
			m.Data = 0
		}
		if m.Gossip < firstFreePort && m.Gossip != gossip {
			m.Gossip = 0
		}
		members = append(members, m)
	}
	for _, n := range s.Nodes {
		switch {
		case n.Self:
			// Others, and a router, may reach it by the address it announces.
			add(ports.Member{Addr: n.Endpoint.Addr(), Data: n.Endpoint.Port(), Gossip: gossip, Self: true})
		case n.State == peers.Left || n.State == peers.Dead && !n.Lease.Prefix.IsValid():
		case n.Gossip.Addr() == n.Endpoint.Addr():
			add(ports.Member{Addr: n.Endpoint.Addr(), Data: n.Endpoint.Port(), Gossip: n.Gossip.Port()})
		default:
			add(ports.Member{Addr: n.Endpoint.Addr(), Data: n.Endpoint.Port()})
			add(ports.Member{Addr: n.Gossip.Addr(), Gossip: n.Gossip.Port()})
		}
	}
	for _, p := range static {
		if p.Way().Kernel() {
			continue // the kernel's own packets go there, which are of no user
		}
		add(ports.Member{Addr: p.Endpoint.Addr(), Data: p.Endpoint.Port()})
	}
	return members
}
