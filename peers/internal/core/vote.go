// SPDX-License-Identifier: Apache-2.0

package core

import (
	"bytes"
	"crypto/hmac"
	"time"

	"flanneld/peers/internal/record"
)

// amnesia is how long a holder makes no promise after it lost its durable
// state, counted from when it has joined. Any claim it might have promised is
// over by then.
const amnesia = time.Minute

func (c *Core) amnesiac() bool {
	return c.cfg.Amnesia && (c.joinedAt < 0 || c.now-c.joinedAt < amnesia)
}

// endAmnesia writes the table without the mark once amnesia is over.
func (c *Core) endAmnesia() {
	if c.cfg.Amnesia && !c.amnesiac() {
		c.cfg.Amnesia = false
		c.effects.TableChanged = true
	}
}

// receiveAsk answers a claimant with a promise or a refusal.
func (c *Core) receiveAsk(m record.Ask) error {
	if m.Slot == 0 && !m.Pinned || m.Slot >= c.Network().Slots() || m.Epoch == 0 || m.Claim.Validate() != nil || record.BoundCounters(m.Epoch, m.Ordinal) != nil {
		return record.ErrMalformed
	}
	if p := c.ledger.of(m.Slot); p != nil && p.Claimant == m.From && p.Claim.Compare(m.Claim) > 0 {
		return nil // it was overtaken
	}
	c.learnAsker(m)
	if !c.knowsAddress(m) {
		return nil
	}
	a := record.Answer{Slot: m.Slot, Epoch: m.Epoch, Claim: m.Claim, Holders: c.holdersHash(), PossibleHolders: c.possibleHolders()}
	if !c.refuse(m, &a) {
		c.promise(m, a)
		return nil
	}
	c.send(m.From, record.MsgAnswer, a)
	return nil
}

// learnAsker accepts the node record of an asker that has proven its address.
func (c *Core) learnAsker(m record.Ask) {
	if len(m.Node) == 0 || !hmac.Equal(m.Cookie, c.cookie(m.From)) {
		return
	}
	if e, err := record.OpenEnvelope(m.Node); err == nil && e.Kind == record.KindNode {
		c.judge.asker = m.From
		_ = c.takeRecord(m.Node, false) // a malformed one proves nothing, see proven
		c.judge.asker = record.NodeID{}
	}
}

// refuse reports whether there is a reason not to promise, and puts it into the
// answer.
func (c *Core) refuse(m record.Ask, a *record.Answer) bool {
	l, p := c.table.Leases[m.Slot], c.ledger.of(m.Slot)
	switch {
	case c.table.HeldBy(c.id) == nil || c.leaving || c.isRetiring():
		a.Verdict = record.NotHolder
	case c.amnesiac():
		a.Verdict = record.Abstain
	case !c.proven(m):
		a.Verdict, a.Cookie = record.Unproven, c.cookie(m.From)
	case l != nil && c.holds(&l.Rec) && l.Rec.Holder != m.From:
		a.Verdict, a.By, a.Lease = record.Held, l.Rec.Holder, present(l)
	case l != nil && m.Epoch <= l.Rec.Epoch:
		a.Verdict, a.Seen, a.Lease = record.Stale, l.Rec.Epoch, present(l)
	case m.Epoch > c.reach(m.Slot):
		a.Verdict = record.Abstain
	case c.tooOld(m):
		a.Verdict, a.Lease = record.Stale, present(c.table.HeldBy(c.id))
	case p != nil && !p.Claimant.IsZero() && p.Claimant != m.From:
		a.Verdict, a.By = record.Taken, p.Claimant
	case p != nil && (m.Epoch < p.Epoch || m.Epoch == p.Epoch && p.Claimant != m.From):
		a.Verdict, a.Seen = record.Stale, p.Epoch
	case c.claim.claims(m.Slot):
		a.Verdict, a.By = record.Taken, c.id
	case c.refuseReserved(m, a):
	case p == nil && !c.ledger.makeRoom():
		a.Verdict = record.Abstain
	default:
		reason, crowd := c.isCrowded(m)
		if crowd {
			a.Verdict, a.Reason = record.Crowded, reason
		}
		return crowd
	}
	return true
}

// present is a record as it may be sent to others; nil for the format before.
func present(l *record.Stored[record.LeaseRecord]) []byte {
	if l.Former {
		return nil
	}
	return l.Raw
}

// reach is the highest epoch that is promised for a slot.
func (c *Core) reach(s record.Slot) uint64 {
	known := uint64(0)
	if l := c.table.Leases[s]; l != nil {
		known = l.Rec.Epoch
	}
	if p := c.ledger.of(s); p != nil {
		known = max(known, p.Epoch)
	}
	return known + MaxJump
}

// tooOld reports whether a lease would be older than this node's own, or would
// replace this node as the longest-standing holder.
func (c *Core) tooOld(m record.Ask) bool {
	mine := c.table.HeldBy(c.id).Rec.Ordinal
	return m.Ordinal < mine || m.Ordinal == mine && c.senior() == c.id || m.Ordinal > c.table.MaxOrdinal()+MaxJump
}

// promise writes the promise down and answers once that is durable.
func (c *Core) promise(m record.Ask, a record.Answer) {
	a.Verdict = record.Promised
	reply := func() {
		// What was promised may have been withdrawn while it was
		// written.
		if p := c.ledger.of(m.Slot); p.answers(m) {
			a.Voucher = c.vouch(p.grant())
			c.send(m.From, record.MsgAnswer, a)
		}
	}
	if c.ledger.of(m.Slot).answers(m) {
		c.ledger.renew(m.Slot, c.now)
		if c.saves.isIdle() {
			reply() // asked again, and long durable
		} else {
			c.saves.after(reply)
		}
		return
	}
	c.ledger.put(Promise{m.Slot, m.Epoch, m.From, m.Claim, m.Ordinal, m.Pinned}, c.now)
	c.save(reply)
}

// receiveWithdraw takes a promise back at its claimant's request. The epoch
// stays on record: it is promised to no other node.
func (c *Core) receiveWithdraw(m record.Withdraw) error {
	p := c.ledger.of(m.Slot)
	if p == nil || p.Claimant != m.From || p.Claim.Compare(m.Claim) > 0 {
		return nil
	}
	if !p.Claim.IsZero() || m.Claim.IsZero() { // a lease ends by a record, or where its holder, asked about it, has none
		c.voidPromise(p)
	}
	return nil
}

// voidPromise frees the slot, and keeps the epoch as a floor. It needs no
// durable write of its own: a promise remembered too long only costs a retry.
func (c *Core) voidPromise(p *Promise) {
	p.Claimant = record.NodeID{}
	c.save(nil)
}

// resolvePromise handles a lease that fulfills or overrules a promise.
func (c *Core) resolvePromise(l *record.LeaseRecord) {
	p := c.ledger.of(l.Slot)
	if p == nil || p.Epoch > l.Epoch {
		return
	}
	if p.Claimant != l.Holder && !p.Claimant.IsZero() {
		c.voidPromise(p)
	}
	c.ledger.renew(l.Slot, c.now)
}

// remindClaimants repeats its answers to claims without a known outcome. A
// withdrawal can be lost, or overtaken by what it takes back. A claimant that
// has no use for a promise any more gives it back when it is reminded.
func (c *Core) remindClaimants() {
	if c.now < c.sync.remindAt || !c.saves.isIdle() || c.amnesiac() {
		return // not yet; or not all promises are durable; or it may not vote
	}
	c.sync.remindAt = c.now + remindEvery
	for _, p := range c.ledger.overdue(c.now) {
		c.send(p.Claimant, record.MsgAnswer, record.Answer{
			Slot: p.Slot, Epoch: p.Epoch, Claim: p.Claim, Verdict: record.Promised, Holders: c.holdersHash(), Voucher: c.vouch(p.grant()),
		})
	}
}

// compareEvery is how often, at most, a claimant compares tables with a holder
// that knows of other holders.
const compareEvery = 100 * time.Millisecond

// receiveAnswer counts a holder's answer.
func (c *Core) receiveAnswer(m record.Answer) error {
	k := &c.claim
	if len(m.PossibleHolders) > maxPromises || !record.Printable(m.Reason, record.MaxReason) || record.BoundCounters(m.Epoch, m.Seen) != nil || m.Claim.Validate() != nil {
		return record.ErrMalformed
	}
	if len(m.Lease) > 0 {
		if err := c.takeRecord(m.Lease, false); err != nil {
			return err
		}
	}
	if m.Verdict == record.Promised && !c.wants(m.Slot, m.Claim) {
		c.sendWithdraw(m.Slot, m.Claim, []record.NodeID{m.From})
	}
	if !k.isAnsweredBy(m) || !c.isElector(m.From) {
		return nil
	}
	if m.Holders != c.holdersHash() && c.now >= c.sync.compareAt {
		c.sync.compareAt = c.now + compareEvery // in a mass start all hashes differ
		c.sendDigest(m.From)
	}
	switch m.Verdict {
	case record.Promised:
		c.countPromise(m)
	case record.Abstain, record.NotHolder:
		k.noteAnswer(m)
	case record.Unproven:
		c.proveIdentity(m)
	case record.Crowded:
		c.setWaiting("%s: %s", c.describe(m.From), m.Reason)
		k.votes[m.From] = record.Abstain // no promise, and no reason to take another slot
	case record.Stale:
		k.raiseFloor(m.Slot, m.Seen)
	case record.Held, record.Taken:
		k.refused, k.contested, k.refusal = true, true, c.refusal(m)
	default:
		return record.ErrMalformed
	}
	c.decide()
	return nil
}

// countPromise counts a promise if its voucher can be checked by others.
func (c *Core) countPromise(m record.Answer) {
	k := &c.claim
	_, pinned := c.pinned()
	if !c.table.Vouched(record.Grant{Slot: k.slot, Epoch: k.epoch, Claimant: c.id, Claim: k.id, Ordinal: k.ordinal, Pinned: pinned}, m.From, m.Voucher) {
		return
	}
	k.noteAnswer(m)
	k.vouchers[m.From] = m.Voucher
}

// proveIdentity asks a holder again that does not know this node yet, with the
// cookie of that holder.
func (c *Core) proveIdentity(m record.Answer) {
	if len(m.Cookie) != cookieLen || bytes.Equal(c.cookies[m.From], m.Cookie) {
		return
	}
	c.cookies[m.From] = m.Cookie // one for each holder: only those are counted
	c.sendAsk(m.From)
}
