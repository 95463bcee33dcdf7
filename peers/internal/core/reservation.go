// SPDX-License-Identifier: Apache-2.0

package core

import (
	"net/netip"
	"slices"
	"time"

	"flanneld/peers/internal/record"
)

// Reservation is a subnet of a host outside of the gossip. Only a node at that
// host's underlay address is promised it: such a node is that host, moved into
// the network.
type Reservation struct {
	Subnet   netip.Prefix
	Endpoint netip.AddrPort // where the host takes packets; port 0: it has none

	loggedAt Time // when a refusal was last logged; 0: never
}

// logAgain is how long a holder keeps silent about further claims of a subnet
// that is reserved here.
const logAgain = time.Minute

// reserved reports whether a slot's subnet is not for this node to claim.
func (c *Core) reserved(s record.Slot) bool {
	return c.reservation(s) != nil || !c.keptFor(s, c.id).IsZero()
}

// reservation is the first one that a slot's subnet overlaps, nil without one.
func (c *Core) reservation(s record.Slot) *Reservation {
	subnet := c.Network().SubnetOf(s)
	i := slices.IndexFunc(c.cfg.Reserved, func(r Reservation) bool { return r.Subnet.Overlaps(subnet) })
	if i < 0 {
		return nil
	}
	return &c.cfg.Reserved[i]
}

// knowsAddress reports whether a claimant's addresses are known here, where
// they matter: for a reserved slot. If they are not, the two nodes compare
// tables, and the claimant asks again within askAgainFirst.
func (c *Core) knowsAddress(m record.Ask) bool {
	if c.table.Nodes[m.From] != nil || c.reservation(m.Slot) == nil || !c.isUp(m.From) {
		return true // one that is no member is asked for its record, see proven
	}
	c.sendDigest(m.From)
	return false
}

// refuseReserved reports whether a slot is reserved for a node other than the
// claimant, and names that node in the answer.
func (c *Core) refuseReserved(m record.Ask, a *record.Answer) bool {
	if node := c.keptFor(m.Slot, m.From); !node.IsZero() {
		a.Verdict, a.By = record.Taken, node
		return true
	}
	r := c.reservation(m.Slot)
	if r == nil || c.isAt(m.From, r.Endpoint.Addr()) {
		return false
	}
	a.Verdict, a.By, a.Static = record.Taken, c.id, r.Endpoint.String()
	if r.loggedAt == 0 || c.now-r.loggedAt >= logAgain {
		r.loggedAt = max(c.now, 1)
		c.log(levelWarn, "refused a claim of a static peer's subnet; remove the --static-peer or correct its address if the node is that host",
			"node", c.nameOf(m.From), "subnet", c.Network().SubnetOf(m.Slot), "static peer", endpointText(r.Endpoint))
	}
	return true
}

// refusal is the reason in an answer, for display; "" without one. A claim that
// may try another subnet gives only a static peer's reason.
func (c *Core) refusal(m record.Answer) string {
	subnet := c.Network().SubnetOf(m.Slot)
	static, err := netip.ParseAddrPort(m.Static)
	pin, pinned := c.pinned()
	switch {
	case m.Verdict != record.Taken:
		return ""
	case m.Static != "" && err == nil:
		return "node " + c.nameOf(m.From) + " has " + subnet.String() + " as --static-peer at " + endpointText(static) +
			": start it without, or with this host's address there"
	case !pinned || pin != m.Slot:
		return ""
	case m.By == m.From:
		return "node " + c.nameOf(m.From) + " asks for " + subnet.String() + " itself"
	}
	return subnet.String() + " is promised to, or kept for, node " + c.nameOf(m.By)
}

// endpointText leaves out the port of a host that has none.
func endpointText(e netip.AddrPort) string {
	if e.Port() == 0 {
		return e.Addr().String()
	}
	return e.String()
}

// preferred are the slots to claim before any other. First come the driver's
// preferred subnets, within the range that is handed out. Then comes what this
// node held last, and what it held before a reset.
func (c *Core) preferred() []record.Slot {
	var slots []record.Slot
	low, high := c.Network().Eligible()
	for _, p := range c.cfg.Prefer {
		if n := int(c.Network().SubnetLen); p.Addr().Is4() && p.Bits() > n { // a part of one
			p = netip.PrefixFrom(p.Addr(), n).Masked()
		}
		if s, ok := c.Network().SlotOf(p); ok && s >= low && s <= high {
			slots = append(slots, s)
		}
	}
	if s := c.durable.Slot; s != 0 && s < c.Network().Slots() {
		slots = append(slots, s)
	}
	for _, w := range c.durable.Wishes {
		if s, ok := c.Network().SlotOf(w.Subnet); ok && s != 0 && w.Node == c.id {
			slots = append(slots, s)
		}
	}
	return slots
}
