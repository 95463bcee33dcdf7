package core

import (
	"slices"
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

func TestALeaseThatIsWrittenLateIsNotConfirmedOnVotesThatAreGone(t *testing.T) {
	w := newWorld(t, 26, 4, nil)
	late := w.hosts[1]
	w.hosts[0].boot()
	w.runUntil(2*time.Second, "founder confirmed", w.hosts[0].confirmed)
	late.boot()
	for late.core.Inside().Claim().Phase != PhaseSaving && w.now < time.Minute {
		w.run(50 * time.Microsecond)
	}
	late.disk.full = true
	w.hosts[2].boot()
	w.runUntil(5*time.Second, "another confirmed", w.hosts[2].confirmed)
	w.run(2 * time.Second)
	w.hosts[0].leave() // it waits a while, then what it had promised goes with it
	w.run(LeaveWait + time.Second)
	w.links.cuts = []*cut{{blocks: func(a, b int) bool { return a != b && (a == 1 || b == 1) }}}
	w.hosts[3].seeds = w.hosts[2:3]
	w.hosts[3].config.Pin = late.core.Network().SubnetOf(late.core.Inside().Claim().Slot)
	w.hosts[3].boot()
	w.runUntil(10*time.Second, "the same slot granted again", w.hosts[3].confirmed)
	late.disk.full = false
	w.run(3 * time.Second)
	w.links.cuts = nil
	w.runUntil(time.Minute, "leased after all", late.confirmed) // any overlap fails the test
}

func TestALeaseIsTakenBackOnDiskBeforeItsPromisesAreGivenBack(t *testing.T) {
	w := newWorld(t, 28, 2, nil)
	w.hosts[0].boot()
	w.runUntil(2*time.Second, "founder confirmed", w.hosts[0].confirmed)
	h := w.hosts[1]
	h.boot()
	for h.core.Inside().Claim().Phase != PhaseSaving && w.now < time.Minute {
		w.run(50 * time.Microsecond)
	}
	c, now := h.core, w.now-h.started
	withdrawn := func(e Effects) bool {
		return slices.ContainsFunc(e.Sends, func(s Send) bool {
			kind, _, _ := splitMessage(s.Msg)
			return kind == record.MsgWithdraw
		})
	}
	c.Inside().TakeBack()
	e := c.Effects()
	if e.Save == nil || withdrawn(e) {
		t.Fatal("the promises are given back while the lease is still on disk")
	}
	reminder := record.Answer{Slot: c.Inside().Claim().Slot, Epoch: c.Inside().Claim().Epoch, Claim: c.Inside().Claim().ID, Verdict: record.Promised, Holders: c.Inside().HoldersHash()}
	if err := c.Receive(now, simMessage(w.hosts[0].identity, c, record.MsgAnswer, reminder)); err != nil {
		t.Fatal(err)
	}
	c.Tick(now + 2*time.Second)
	if withdrawn(c.Effects()) {
		t.Fatal("a reminder makes it give a promise back while the lease is still on disk")
	}
	c.Saved(now+2*time.Second, e.Save.Token, nil)
	if !withdrawn(c.Effects()) {
		t.Error("the promises are not given back")
	}
}

// claimant is a node that asks for its lease, and the founder, who alone holds one.
func claimant(t *testing.T, seed uint64) (h, founder *host) {
	w := newWorld(t, seed, 2, nil)
	founder, h = w.hosts[0], w.hosts[1]
	founder.boot()
	w.runUntil(2*time.Second, "founder confirmed", founder.confirmed)
	h.boot()
	for h.core.Inside().Claim().Phase != PhaseAsking && w.now < time.Minute {
		w.run(50 * time.Microsecond)
	}
	h.core.Effects()
	return h, founder
}

// told is a message of that kind among the effects.
func told(e Effects, kind record.MessageKind) []byte {
	for _, s := range e.Sends {
		if k, _, _ := splitMessage(s.Msg); k == kind {
			return s.Msg
		}
	}
	return nil
}

func TestALateWithdrawalDoesNotTakeBackWhatWasPromisedSince(t *testing.T) {
	h, founder := claimant(t, 29)
	now := h.w.now - h.started
	slot := h.core.Inside().Claim().Slot
	h.core.Inside().GiveUp()
	late := told(h.core.Effects(), record.MsgWithdraw)
	h.core.Tick(now + time.Millisecond) // the claim is over, whatever comes
	h.core.Inside().BeginClaim(slot)
	question := told(h.core.Effects(), record.MsgAsk)
	holder, at := founder.core, h.w.now-founder.started
	for _, m := range [][]byte{question, late} {
		if err := holder.Receive(at, m); err != nil {
			t.Fatal(err)
		}
	}
	if p, ok := holder.Inside().PromiseOf(slot); !ok || p.Claimant != h.id {
		t.Error("the withdrawal of the first claim has taken back the promise to the second")
	}
}

func TestALatePromiseDoesNotCountForAnotherClaim(t *testing.T) {
	h, founder := claimant(t, 31)
	k := h.core.Inside().Claim
	late := record.Answer{
		Slot: k().Slot, Epoch: k().Epoch, Claim: k().ID,
		Verdict: record.Promised, Holders: h.core.Inside().HoldersHash(),
	}
	h.core.Inside().GiveUp()
	h.core.Inside().BeginClaim(late.Slot)
	if k().Epoch != late.Epoch {
		t.Fatalf("epoch %d, and %d", k().Epoch, late.Epoch)
	}
	if err := h.core.Receive(h.w.now-h.started, simMessage(founder.identity, h.core, record.MsgAnswer, late)); err != nil {
		t.Fatal(err)
	}
	if k().Phase != PhaseAsking || h.core.Inside().HasPromised(founder.id) {
		t.Error("a promise that was given back counts")
	}
}

// Somebody may have heard of the farewell, and nobody else of the lease.
func TestASlotThatWasHandedBackIsAskedForAboveThatEpoch(t *testing.T) {
	h, _ := claimant(t, 32)
	c := h.core
	c.Inside().HandBack(9, 5)
	if next := c.Inside().NextEpoch(9); next != 6 {
		t.Errorf("asks at epoch %d for a slot that it handed back at epoch 5", next)
	}
	if next := c.Inside().NextEpoch(10); next != 1 {
		t.Errorf("asks at epoch %d for a slot that it knows nothing of", next)
	}
}

func TestALeavingHolderWaitsForTheClaimsItHasPromised(t *testing.T) {
	h, founder := claimant(t, 34)
	w := h.w
	for h.core.Inside().Claim().Phase != PhaseSaving && w.now < time.Minute {
		w.run(50 * time.Microsecond)
	}
	h.disk.full = true // it may take a while
	now := func() Time { return w.now - founder.started }
	if !founder.core.Retire(now()) {
		t.Fatal("it may go, though a claim that it has promised is under way")
	}
	a := record.Answer{}
	if !founder.core.Inside().Refuse(record.Ask{Header: record.Header{From: w.hosts[0].id}, Slot: 200, Epoch: 1}, &a) || a.Verdict != record.NotHolder {
		t.Errorf("verdict %d while it retires, want that it has no say", a.Verdict)
	}
	h.disk.full = false
	w.runUntil(10*time.Second, "confirmed", h.confirmed)
	w.run(time.Second)
	if founder.core.Retire(now()) {
		t.Error("it waits though everything is settled")
	}
	w.run(2 * RetireFor)
	if founder.core.Inside().Retiring() {
		t.Error("it does not vote any more, though it has not left")
	}
}

// Nobody may know of a lease that was written and not confirmed: those who decide now may have granted its slot to somebody else.
func TestALeaseThatWasNotConfirmedIsClaimedAnewByTheNextStart(t *testing.T) {
	h, founder := claimant(t, 36)
	w := h.w
	w.links.cuts = []*cut{{blocks: func(from, to int) bool { return h.core != nil && h.core.Inside().Claim().Phase >= PhaseSaving }}}
	slot := h.core.Inside().Claim().Slot
	for h.disk.synced == nil || !remembersLease(h.disk.synced) {
		w.run(50 * time.Microsecond)
	}
	w.run(20 * time.Millisecond)  // what was sent is lost
	h.disk.table = h.core.State() // it may have been written in time
	h.crash()
	w.links.cuts = nil
	w.run(10 * time.Second)
	elsewhere := record.NodeID{9}
	founder.core.Inside().DropPromises(func(Promise) bool { return true }) // as if others decided by now
	founder.core.Inside().PutPromise(Promise{Slot: slot, Epoch: 5, Claimant: elsewhere, Claim: record.ClaimIDOf(1)})
	h.boot()
	w.run(3 * time.Second)
	if s, ok := h.holding(); !ok || s == slot {
		t.Errorf("holds slot %d %v, want another one than %d, which is promised to somebody else", s, ok, slot)
	}
}

func remembersLease(vault []byte) bool {
	v, err := DecodeVault(vault)
	return err == nil && len(v.Lease) > 0
}
