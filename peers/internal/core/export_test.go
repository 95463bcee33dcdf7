// SPDX-License-Identifier: Apache-2.0

package core

import "flanneld/peers/internal/record"

// What the tests outside of the package have to see of the inside, beyond what
// the simulator does.

const (
	Amnesia       = amnesia
	AskAgainMost  = askAgainMost
	MaxPerAddress = maxPerAddress
	MaxUnresolved = maxUnresolved
	RemindEvery   = remindEvery
	RetireFor     = retireFor
	StableAfter   = stableAfter
	WishFor       = wishFor
)

var DecodeDurable = decodeDurable

func (i Inside) Amnesiac() bool           { return i.c.amnesiac() }
func (i Inside) BeginClaim(s record.Slot) { i.c.beginClaim(s) }
func (i Inside) Counted() int             { return i.c.count().electors }
func (i Inside) GiveUp()                  { i.c.giveUp() }
func (i Inside) HandBack(s record.Slot, epoch uint64) {
	i.c.durable.Freed, i.c.durable.HandedBack = s, epoch
}
func (i Inside) HandedBack(l *record.LeaseRecord) bool      { return i.c.handedBack(l) }
func (i Inside) HasPromised(id record.NodeID) bool          { return i.c.hasPromised(id) }
func (i Inside) NextEpoch(s record.Slot) uint64             { return i.c.nextEpoch(s) }
func (i Inside) Now() Time                                  { return i.c.now }
func (i Inside) OnNode(n *record.NodeRecord)                { i.c.onNode(n) }
func (i Inside) Promise(m record.Ask, a record.Answer)      { i.c.promise(m, a) }
func (i Inside) PutPromise(p Promise)                       { i.c.ledger.put(p, i.c.now) }
func (i Inside) Refusal(a record.Answer) string             { return i.c.refusal(a) }
func (i Inside) Refuse(m record.Ask, a *record.Answer) bool { return i.c.refuse(m, a) }
func (i Inside) Retiring() bool                             { return i.c.isRetiring() }
func (i Inside) SetPromises(p ...Promise)                   { i.c.ledger.promises = p }
func (i Inside) RevokeGrant()                               { i.c.revokeGrant() }

func (Inside) Reset(id record.NodeID, durable, table []byte, s record.Signer) ([]byte, Given, error) {
	return reset(id, durable, table, s)
}
