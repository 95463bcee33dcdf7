// SPDX-License-Identifier: Apache-2.0

package core

import (
	"strconv"

	"flanneld/peers/internal/record"
)

// takeRecord merges a record and acts on it. With spread, a record that is news
// is gossiped on.
func (c *Core) takeRecord(raw []byte, spread bool) error {
	ch, err := c.table.Take(raw, c.gate)
	if err != nil || !ch.Any() {
		return err
	}
	c.effects.TableChanged, c.effects.Changed = true, true
	if spread {
		c.effects.Broadcasts = append(c.effects.Broadcasts, Broadcast{
			Key: broadcastKey(ch),
			Msg: record.EncodeRumor(raw),
		})
	}
	switch {
	case ch.Node != nil:
		if n := c.table.Nodes[ch.Node.ID()]; n.Since == 0 {
			n.Since = c.now
		}
		c.onNode(ch.Node)
	case ch.Lease != nil:
		c.onLease(ch.Lease, ch.Replaced)
	default:
		c.table.Forgets[ch.Forgot].Since = c.now
		if !c.table.Forgets[ch.Forgot].Rec.Faded {
			c.log(levelInfo, "node is forgotten", "id", ch.Forgot.Short())
			for range c.ledger.voidWhere(func(p Promise) bool { return p.Claimant == ch.Forgot }) {
				c.save(nil)
			}
		}
		c.dropMember(ch.Forgot)
	}
	return nil
}

func broadcastKey(ch record.Change) string {
	switch {
	case ch.Node != nil:
		id := ch.Node.ID()
		return "node " + string(id[:])
	case ch.Lease != nil:
		return "lease " + strconv.Itoa(int(ch.Lease.Slot))
	}
	return "forget " + string(ch.Forgot[:])
}

// onNode reacts to a node record that is news.
func (c *Core) onNode(n *record.NodeRecord) {
	if n.ID() == c.id {
		if n.Instance != c.cfg.Instance {
			c.bumpStart(n.Start)
		}
		return
	}
	if n.Left {
		c.log(levelInfo, "node has left", "node", n.Name, "id", n.ID().Short())
		if m := c.members.seen[n.ID()]; m != nil {
			m.aliveLogged = false // gossip may not have missed it when it comes back
		}
		return
	}
	c.logAlive(n.ID())
}

// bumpStart raises our start number above one that the network has seen of us:
// the state directory is older than the network's memory, or our identity was
// forgotten while we were away.
func (c *Core) bumpStart(start uint64) {
	if c.leaving {
		return
	}
	c.durable.Start = max(c.durable.Start, record.Next(start))
	c.version = 0
	c.save(nil)
	c.announceSelf()
}

// onLease reacts to a lease record that is news.
func (c *Core) onLease(l, replaced *record.LeaseRecord) {
	if replaced == nil || replaced.Holder != l.Holder {
		c.leased[l.Slot] = c.now
	}
	c.resolvePromise(l)
	if replaced != nil && !replaced.Holder.IsZero() && !l.Holder.IsZero() && replaced.Holder != l.Holder {
		c.noteConflict(l, replaced)
	}
	c.conflicts.resolve(l.Holder)
	if l.Holder != c.id {
		c.checkOwnLease(l)
		if !l.Holder.IsZero() {
			c.log(levelInfo, "lease", "subnet", c.Network().SubnetOf(l.Slot), "node", c.nameOf(l.Holder), "epoch", l.Epoch)
		}
	}
}
