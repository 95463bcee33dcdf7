// SPDX-License-Identifier: Apache-2.0

package core

import "flanneld/peers/internal/record"

// write signs a record, merges it and gossips it. It logs an error, too.
func (c *Core) write(kind record.Kind, rec any) error {
	raw := c.cfg.Identity.Seal(c.cfg.Signer, c.table.NetID, kind, rec)
	err := c.takeOwn(raw)
	if err != nil {
		c.log(levelError, "own record refused", "err", err)
	}
	return err
}

// takeOwn merges a record of this node's own and gossips it.
func (c *Core) takeOwn(raw []byte) error {
	defer func(before bool) { c.judge.trusted = before }(c.judge.trusted)
	c.judge.trusted = true
	return c.takeRecord(raw, true)
}

// writeFree hands a slot back, or takes it from a forgotten holder. The
// vouchers of the lease that ends stay in the record: they prove that there was
// one.
func (c *Core) writeFree(l record.LeaseRecord) error {
	free := record.LeaseRecord{Slot: l.Slot, Epoch: record.Next(l.Epoch), Freed: l.Holder, Pinned: l.Pinned, Ordinal: l.Ordinal,
		Key: c.cfg.Identity.Public()}
	free.Claim, free.Vouchers, free.Granted = l.Claim, l.Vouchers, l.GrantEpoch()
	return c.write(record.KindLease, free)
}

// announceSelf writes a new version of our node record.
func (c *Core) announceSelf() {
	c.version = record.Next(c.version)
	_ = c.write(record.KindNode, record.NodeRecord{
		Key: c.cfg.Identity.Public(), Start: c.durable.Start, Version: c.version, Instance: c.cfg.Instance,
		Name: c.cfg.Name, Endpoints: record.EndpointsOf(c.cfg.Endpoint), GossipEndpoints: record.EndpointsOf(c.cfg.Gossip),
		MTU: c.cfg.MTU, Caps: c.cfg.Caps, Left: c.leaving, SealKey: c.cfg.SealKey,
		ProtocolMin: record.MessageVersionMin, ProtocolMax: c.cfg.MaxVersion,
	})
}

// SetCaps announces other capabilities than before. It refuses what New does.
// The slice must not be changed afterwards.
func (c *Core) SetCaps(now Time, caps []record.Capability) error {
	if err := record.CheckCaps(caps); err != nil {
		return err
	}
	c.advance(now)
	c.cfg.Caps = caps
	if c.table != nil {
		c.announceSelf()
	}
	return nil
}
