// SPDX-License-Identifier: Apache-2.0

package core

import "flanneld/peers/internal/record"

// durableFormat is the present format of a durable state; 0 is 0.1's.
const durableFormat = 2

// upgradeDurable brings a durable state of 0.1 into the present format. The
// lease is signed anew, at the same slot and epoch. Promises are numbered as
// claims are now.
func (c *Core) upgradeDurable() {
	v := &c.durable
	if v.Format == durableFormat {
		return
	}
	v.Format, v.Start = durableFormat, min(v.Start, record.MaxCounter-1)
	for _, list := range [][]Promise{c.ledger.promises, v.Leases} {
		for i := range list {
			p := &list[i]
			p.Epoch = min(p.Epoch, record.MaxCounter)
			if old := p.Claim.Number(); old > 0 { // 0.1 had 32 bits for the count
				p.Claim = record.NewClaimID(min(old>>32, record.MaxCounter), uint32(old))
			}
		}
	}
	if len(v.Lease) == 0 {
		return
	}
	t := c.newTable(v.Network)
	l, ok := t.OpenFormerLease(v.Lease)
	if !ok || l.Holder != c.id {
		v.Lease = nil
		return
	}
	v.Lease = c.cfg.Identity.Seal(c.cfg.Signer, t.NetID, record.KindLease, l)
}
