// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net/netip"
	"sync"

	"flanneld/route"
)

// Flow is traffic in both directions.
type Flow struct{ Egress, Ingress route.Volume }

// Carried adds up what the kernel has carried by the short-cut. It is given
// counters that may begin anew at any time, and makes sums that only grow: of
// each prefix, and of all. The traffic of peers gets the same, so that it is
// complete whatever carried a packet. The zero value has nothing. Its methods
// may be called concurrently.
type Carried struct {
	mu       sync.Mutex
	prefixes map[netip.Prefix]*carried
	all      carried
}

// carried is a counter as it was read last, and its sum.
type carried struct{ read, sum Flow }

// advance adds what is new, and returns it. A counter that is smaller than
// before has begun anew.
func (c *carried) advance(now Flow) (more Flow) {
	more = Flow{Egress: since(c.read.Egress, now.Egress), Ingress: since(c.read.Ingress, now.Ingress)}
	c.read = now
	c.sum = Flow{Egress: add(c.sum.Egress, more.Egress), Ingress: add(c.sum.Ingress, more.Ingress)}
	return more
}

func since(before, now route.Volume) route.Volume {
	if now.Packets < before.Packets || now.Bytes < before.Bytes {
		return now
	}
	return route.Volume{Packets: now.Packets - before.Packets, Bytes: now.Bytes - before.Bytes}
}

// Read takes the counters of prefixes and of all together, as read returns
// them. Of two readings at once, the later one has to be taken later: an older
// one would look like counters that have begun anew. So Read holds a lock while
// it calls read, which must not call methods of c. peerOf finds the peer of a
// prefix; nil: there is none. What is known of other prefixes is forgotten.
func (c *Carried) Read(read func() (prefixes map[netip.Prefix]Flow, all Flow), peerOf func(netip.Prefix) *route.Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	prefixes, all := read()
	c.all.advance(all)
	next := make(map[netip.Prefix]*carried, len(prefixes))
	for prefix, now := range prefixes {
		one := c.prefixes[prefix]
		if one == nil {
			one = &carried{}
		}
		next[prefix] = one
		more := one.advance(now)
		if peer := peerOf(prefix); peer != nil && more != (Flow{}) {
			peer.AddCarried(more.Egress, more.Ingress)
		}
	}
	c.prefixes = next
}

// Of is the sum of one prefix.
func (c *Carried) Of(prefix netip.Prefix) Flow {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.prefixes[prefix]; one != nil {
		return one.sum
	}
	return Flow{}
}

// All is the sum of all prefixes, those that are forgotten too.
func (c *Carried) All() Flow {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all.sum
}
