// SPDX-License-Identifier: Apache-2.0

package core

import (
	"maps"
	"slices"

	"flanneld/peers/internal/record"
)

// grantOwn makes the lease ours. It is written first, and announced afterwards.
func (c *Core) grantOwn(electors, promises int) {
	k := &c.claim
	_, pinned := c.pinned()
	k.grant = record.LeaseRecord{
		Slot: k.slot, Epoch: k.epoch, Holder: c.id, Pinned: pinned, Ordinal: k.ordinal,
		Electors: uint32(electors), Promises: uint32(promises), Key: c.cfg.Identity.Public(),
		Claim: k.id, Vouchers: c.collectVouchers(),
	}
	raw := c.cfg.Identity.Seal(c.cfg.Signer, c.table.NetID, record.KindLease, k.grant)
	c.durable.Lease, c.durable.Slot = raw, k.slot
	c.durable.Pending = electors > 0
	c.grantedBy = c.grantors()
	c.setPhase(PhaseSaving)
	c.saveIn(PhaseSaving, func() { c.announceGranted(raw) })
}

// announceGranted announces the lease that has just been written.
func (c *Core) announceGranted(raw []byte) {
	if c.founding {
		c.founding = false
		c.announceSelf()
	}
	if !c.stillGranted() {
		c.revokeGrant()
		return
	}
	if err := c.takeOwn(raw); err != nil {
		c.log(levelError, "own lease refused", "err", err)
	}
	if l := c.table.Leases[c.claim.slot]; l == nil || l.Rec.Holder != c.id {
		c.revokeGrant()
		return
	}
	c.setPhase(PhaseAnnouncing)
	c.claim.acks = map[record.NodeID]bool{}
	c.announceLease()
	c.countAcks()
}

// stillGranted reports whether the counted votes still decide, now that the
// lease is written. Writing may have taken long, and holders may have left with
// their promises.
func (c *Core) stillGranted() bool {
	if c.claim.grant.Electors == 0 {
		return len(c.electors()) == 0 // founding, or no holder left
	}
	t := c.count()
	return t.promises >= t.needed() && c.now-c.claim.since < writeMost
}

// revokeGrant gives up a lease that was granted and written, and not announced
// yet. Its promises are given back once it is struck from the disk. Else the
// next start would take it up.
func (c *Core) revokeGrant() {
	c.durable.Lease, c.durable.Pending = nil, false
	c.setPhase(PhaseRevoking)
	c.saveIn(PhaseRevoking, func() {
		c.withdrawPromises()
		c.setPhase(PhaseNone)
		c.claim.retryLater(c.now, c.cfg.Rand)
	})
}

// announceLease sends the new lease to all electors that live.
func (c *Core) announceLease() {
	l := c.table.Leases[c.claim.slot]
	for _, id := range c.electors() {
		if c.isUp(id) && !c.claim.acks[id] {
			c.send(id, record.MsgRecords, record.Records{Records: [][]byte{l.Raw}, AckSlot: l.Rec.Slot})
		}
	}
	c.claim.askAt = c.now + askAgainFirst
}

// receiveAck counts a node that knows of the new lease.
func (c *Core) receiveAck(m record.Ack) error {
	if c.claim.phase == PhaseAnnouncing && m.Slot == c.claim.slot && m.Epoch == c.claim.epoch {
		c.claim.acks[m.From] = true
		c.countAcks()
	}
	return nil
}

func (c *Core) countAcks() {
	known := 1 // we ourselves, an elector by now
	electors := c.electors()
	for _, id := range electors {
		if c.claim.acks[id] {
			known++
		}
	}
	if known > len(electors)/2 {
		c.confirmLease()
	}
}

// confirmLease ends a claim. Once that is durable the lease is confirmed. Then
// earlier claims are withdrawn again, and other slots of this node are freed.
func (c *Core) confirmLease() {
	k := c.claim
	if l := c.table.Leases[k.slot]; l == nil || l.Rec.Holder != c.id {
		c.loseLease()
		return
	}
	if c.durable.Pending {
		c.durable.Pending = false
		c.setPhase(PhaseKeeping)
		c.saveIn(PhaseKeeping, c.confirmLease)
		return
	}
	for _, s := range slices.Sorted(maps.Keys(k.withdrawn)) {
		c.sendWithdraw(s, k.withdrawn[s], c.electors())
	}
	c.claim.clear()
	c.claim.slot, c.claim.epoch = k.slot, k.epoch
	clear(c.cookies)
	c.setPhase(PhaseConfirmed)
	c.log(levelInfo, "lease confirmed", "subnet", c.Network().SubnetOf(k.slot), "epoch", k.epoch,
		"promises", k.grant.Promises, "electors", k.grant.Electors)
	c.freeOtherSlots()
}
