// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// A reset gives up a damaged network. The node keeps its identity and the count
// of its starts. It also keeps wishes: which node held which subnet. In the
// next network each subnet is for its former holder.

// wish is a subnet of a network that was given up, and its holder there.
type wish struct {
	Subnet netip.Prefix  `cbor:"1,keyasint"`
	Node   record.NodeID `cbor:"2,keyasint"`
}

// wishFor is how long after each of its starts a lease holder keeps subnets for
// nodes that have not come back yet. That is enough time to start all hosts,
// and no more: the damage may have been holders that never existed.
const wishFor = time.Hour

// Given is what a reset gives up and keeps.
type Given struct {
	Network record.Network // zero Prefix: the node was in none
	Subnet  netip.Prefix   // asked for again; zero: none is remembered
	Others  int            // nodes that have their subnets kept
}

// Reset makes the durable state to begin with after a reset, from what the last
// start of a node left. Either part may be nil, if it was lost. A table that is
// damaged, or of another network, is ignored.
func Reset(id record.NodeID, encodedDurable, encodedTable []byte) (durableAfter []byte, given Given, err error) {
	return reset(id, encodedDurable, encodedTable, record.Ed25519{})
}

func reset(id record.NodeID, encodedDurable, encodedTable []byte, signer record.Signer) (durableAfter []byte, given Given, err error) {
	var v durable
	table := readTable(encodedTable, signer)
	if encodedDurable == nil {
		v = durableOf(id, table)
	} else if v, err = decodeDurable(encodedDurable); err != nil {
		return nil, Given{}, err
	}
	after := durable{Format: durableFormat, Start: min(v.Start, record.MaxCounter-1), Endpoint: v.Endpoint, Gossip: v.Gossip, Wishes: v.wishes(id, table)}
	if given.Network = v.Network; !v.Network.Prefix.IsValid() {
		after.Slot = v.Slot // it has left
	}
	for _, w := range after.Wishes {
		if w.Node == id {
			given.Subnet = w.Subnet
		} else {
			given.Others++
		}
	}
	return record.Encode(after), given, nil
}

// wishes are the known held subnets, one for each node, this node's own first.
// Wishes of an earlier reset stay until a lease replaces them.
func (v *durable) wishes(id record.NodeID, table *record.Table) []wish {
	n := v.Network
	if !n.Prefix.IsValid() {
		return v.Wishes
	}
	var all []wish
	add := func(s record.Slot, holder record.NodeID) {
		if s == 0 || s >= n.Slots() || holder.IsZero() || len(all) >= maxPromises {
			return
		}
		w := wish{n.SubnetOf(s), holder}
		if !slices.ContainsFunc(all, func(o wish) bool { return o.Subnet == w.Subnet || o.Node == w.Node }) {
			all = append(all, w)
		}
	}
	add(v.Slot, id)
	if table != nil && table.NetID == n.ID() {
		for _, slot := range table.SortedSlots() {
			add(slot, table.Leases[slot].Rec.Holder)
		}
	}
	for _, l := range v.Leases {
		add(l.Slot, l.Claimant)
	}
	for _, w := range v.Wishes {
		if s, ok := n.SlotOf(w.Subnet); ok {
			add(s, w.Node)
		}
	}
	return all
}

// durableOf is what the node table, nil where there is none, knows of a lost
// durable state: network, start number and subnet.
func durableOf(id record.NodeID, t *record.Table) (v durable) {
	if t == nil {
		return v
	}
	v.Network = t.Network
	if n := t.Nodes[id]; n != nil {
		v.Start, v.Endpoint, v.Gossip = n.Rec.Start, n.Rec.Endpoint(), n.Rec.Gossip()
	}
	if l := t.HeldBy(id); l != nil {
		v.Slot = l.Rec.Slot
	}
	return v
}

// readTable is the table of an encoded state, nil where that cannot be read.
// Invalid records are left out, as at a start.
func readTable(encoded []byte, signer record.Signer) *record.Table {
	s, err := record.DecodeState(encoded)
	if err != nil {
		return nil
	}
	t := record.NewTable(s.Network, true, signer)
	fill(t, s)
	return t
}

// keptFor is the node that a slot is kept for since a reset. It is zero without
// one, or if the node is the claimant.
func (c *Core) keptFor(s record.Slot, claimant record.NodeID) record.NodeID {
	if len(c.durable.Wishes) == 0 || c.now >= wishFor {
		return record.NodeID{}
	}
	subnet := c.Network().SubnetOf(s)
	for _, w := range c.durable.Wishes {
		if w.Subnet.Overlaps(subnet) && w.Node != claimant && w.Node != c.id {
			return w.Node
		}
	}
	return record.NodeID{}
}

// dropWishes drops the wishes of nodes that hold a lease by now, and all wishes
// when their time is up. The next write has it: a wish that is kept too long
// does no harm.
func (c *Core) dropWishes() {
	if len(c.durable.Wishes) == 0 || c.now < wishFor && c.wishesAt == c.table.LeaseChanges {
		return
	}
	c.wishesAt = c.table.LeaseChanges
	holders := map[record.NodeID]bool{}
	for _, l := range c.table.Leases {
		holders[l.Rec.Holder] = true
	}
	c.durable.Wishes = slices.DeleteFunc(c.durable.Wishes, func(w wish) bool {
		return c.now >= wishFor || holders[w.Node]
	})
}
