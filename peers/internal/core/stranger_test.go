// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"

	"flanneld/peers/internal/record"
)

// A question from nowhere is answered by another question, and leaves nothing.
func TestAStrangersQuestionLeavesNothingBehind(t *testing.T) {
	c := fuzzCore(t)
	c.Effects()
	for n := range 100 {
		if err := c.Receive(1, messageFrom(testIdentity(uint64(2000+n)), c, record.MsgAsk, record.Ask{Slot: 7, Epoch: 1, Claim: record.ClaimIDOf(1), Ordinal: 2, Cookie: make([]byte, cookieLen)})); err != nil {
			t.Fatal(err)
		}
	}
	e := c.Effects()
	if len(c.ledger.promises) > 0 || e.Save != nil || len(c.table.Nodes) != 1 || len(c.members.seen) > 1 {
		t.Errorf("%d promises, save %v, %d nodes, %d members", len(c.ledger.promises), e.Save != nil, len(c.table.Nodes), len(c.members.seen))
	}
	for _, s := range e.Sends {
		m, err := record.OpenMessage(s.Msg)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := record.DecodeBody[record.Answer](m.Body); err != nil || m.Kind != record.MsgAnswer || a.Verdict != record.Unproven {
			t.Fatalf("it says %d", m.Kind)
		}
	}
}

// A short question for a long table is answered at a bounded rate.
func TestOneMemberIsSentTheTableOnlySoOften(t *testing.T) {
	c := fuzzCore(t)
	c.Effects()
	for range 1000 {
		if err := c.Receive(1, messageFrom(testIdentity(2), c, record.MsgDigest, record.DigestMessage{Parts: make([]byte, 8*record.Parts)})); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.Effects().Sends); n > serveBurst {
		t.Errorf("%d answers to 1,000 digests at once, at most %d may be", n, serveBurst)
	}
}

func TestMembersThatAreInNoTableAreDroppedWhenTheyGo(t *testing.T) {
	c := fuzzCore(t)
	before := len(c.members.seen)
	for n := range 1000 {
		c.MemberUp(0, someKey(n).ID())
		c.MemberSuspect(0, someKey(n).ID(), true)
		c.MemberDown(0, someKey(n).ID())
	}
	if len(c.members.seen) > before {
		t.Errorf("%d members are remembered, were %d", len(c.members.seen), before)
	}
}
