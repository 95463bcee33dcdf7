// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"

	"flanneld/peers/internal/record"
)

// A live node does not give up when another node strikes out its lease. It
// affirms the lease: the same one, with the same vouchers, above the epoch of
// the record that struck it out. Only a newer grant to another node ends it.

// affirmAgain is how long a node waits before it affirms its lease once more.
const affirmAgain = 10 * time.Second

// reclaimAfter is how long a lost lease stays lost, so that an operator can see
// it.
const reclaimAfter = 2 * time.Second

// driveAffirming affirms this node's lease after a record that tried to end it.
func (c *Core) driveAffirming() {
	k, threat := &c.claim, c.judge.threat
	if k.phase != PhaseConfirmed || threat == 0 || c.now < k.retryAt {
		return
	}
	mine := c.table.Leases[k.slot]
	if mine == nil || mine.Rec.Holder != c.id || threat < mine.Rec.Epoch {
		c.judge.threat = 0
		return
	}
	c.judge.threat = 0
	k.retryAt = c.now + affirmAgain
	rec := mine.Rec
	rec.Granted, rec.Epoch = rec.GrantEpoch(), record.Next(threat)
	raw := c.cfg.Identity.Seal(c.cfg.Signer, c.table.NetID, record.KindLease, rec)
	c.log(levelWarn, "affirming this node's lease, which another node struck out", "subnet", c.Network().SubnetOf(k.slot), "epoch", rec.Epoch)
	c.durable.Lease = raw
	c.saveIn(PhaseConfirmed, func() { c.afterAffirming(raw, rec.Epoch) })
}

// afterAffirming announces the affirmed lease, once it is durable.
func (c *Core) afterAffirming(raw []byte, epoch uint64) {
	if c.leaving {
		return
	}
	if err := c.takeOwn(raw); err != nil {
		c.log(levelError, "own lease refused", "err", err)
		return
	}
	c.claim.epoch = epoch
	c.pushToAll()
}

// forgottenAs raises this node's start above a record that strikes it out.
func (c *Core) forgottenAs(start uint64) {
	if start >= c.durable.Start && start <= c.durable.Start+MaxJump {
		c.bumpStart(start)
	}
}

// reclaim starts a new claim after a lost lease, once no other node holds the
// slot any more. That slot comes first.
func (c *Core) reclaim() {
	if c.claim.phase != PhaseLost || c.now-c.claim.since < reclaimAfter {
		return
	}
	l := c.table.Leases[c.durable.Slot]
	if l != nil && c.holds(&l.Rec) && l.Rec.Holder != c.id {
		return
	}
	c.log(levelInfo, "claiming the lost subnet again; no other node holds it", "subnet", c.Network().SubnetOf(c.durable.Slot))
	c.claim.clear()
	c.setPhase(PhaseNone)
}
