// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"slices"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

func TestALeaseThatIsWrittenLateIsNotConfirmedOnVotesThatAreGone(t *testing.T) {
	w := sim.New(t, 26, 4, nil)
	late := w.Hosts[1]
	w.Hosts[0].Boot()
	w.RunUntil(2*time.Second, "founder confirmed", w.Hosts[0].Confirmed)
	late.Boot()
	for late.Core.Inside().Claim().Phase != core.PhaseSaving && w.Now < time.Minute {
		w.Run(50 * time.Microsecond)
	}
	late.Disk.Full = true
	w.Hosts[2].Boot()
	w.RunUntil(5*time.Second, "another confirmed", w.Hosts[2].Confirmed)
	w.Run(2 * time.Second)
	w.Hosts[0].Leave() // it waits a while, then what it had promised goes with it
	w.Run(sim.LeaveWait + time.Second)
	w.Links.Cuts = []*sim.Cut{{Blocks: func(a, b int) bool { return a != b && (a == 1 || b == 1) }}}
	w.Hosts[3].Seeds = w.Hosts[2:3]
	w.Hosts[3].Config.Pin = late.Core.Network().SubnetOf(late.Core.Inside().Claim().Slot)
	w.Hosts[3].Boot()
	w.RunUntil(10*time.Second, "the same slot granted again", w.Hosts[3].Confirmed)
	late.Disk.Full = false
	w.Run(3 * time.Second)
	w.Links.Cuts = nil
	w.RunUntil(time.Minute, "leased after all", late.Confirmed) // any overlap fails the test
}

func TestALeaseIsTakenBackOnDiskBeforeItsPromisesAreGivenBack(t *testing.T) {
	w := sim.New(t, 28, 2, nil)
	w.Hosts[0].Boot()
	w.RunUntil(2*time.Second, "founder confirmed", w.Hosts[0].Confirmed)
	h := w.Hosts[1]
	h.Boot()
	for h.Core.Inside().Claim().Phase != core.PhaseSaving && w.Now < time.Minute {
		w.Run(50 * time.Microsecond)
	}
	c, now := h.Core, h.Clock()
	withdrawn := func(e core.Effects) bool {
		return slices.ContainsFunc(e.Sends, func(s core.Send) bool {
			kind, _, _ := sim.Split(s.Msg)
			return kind == record.MsgWithdraw
		})
	}
	c.Inside().RevokeGrant()
	e := c.Effects()
	if e.Save == nil || withdrawn(e) {
		t.Fatal("the promises are given back while the lease is still on disk")
	}
	reminder := record.Answer{Slot: c.Inside().Claim().Slot, Epoch: c.Inside().Claim().Epoch, Claim: c.Inside().Claim().ID, Verdict: record.Promised, Holders: c.Inside().HoldersHash()}
	if err := c.Receive(now, sim.MessageFrom(w.Hosts[0].Identity, c, record.MsgAnswer, reminder)); err != nil {
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

// claimant is a node that asks for its lease, and the founder, which alone
// holds one.
func claimant(t *testing.T, seed uint64) (h, founder *sim.Host) {
	w := sim.New(t, seed, 2, nil)
	founder, h = w.Hosts[0], w.Hosts[1]
	founder.Boot()
	w.RunUntil(2*time.Second, "founder confirmed", founder.Confirmed)
	h.Boot()
	for h.Core.Inside().Claim().Phase != core.PhaseAsking && w.Now < time.Minute {
		w.Run(50 * time.Microsecond)
	}
	h.Core.Effects()
	return h, founder
}

// told is a message of that kind among the effects.
func told(e core.Effects, kind record.MessageKind) []byte {
	for _, s := range e.Sends {
		if k, _, _ := sim.Split(s.Msg); k == kind {
			return s.Msg
		}
	}
	return nil
}

func TestALateWithdrawalDoesNotTakeBackWhatWasPromisedSince(t *testing.T) {
	h, founder := claimant(t, 29)
	now := h.Clock()
	slot := h.Core.Inside().Claim().Slot
	h.Core.Inside().GiveUp()
	late := told(h.Core.Effects(), record.MsgWithdraw)
	h.Core.Tick(now + time.Millisecond) // the claim is over, whatever comes
	h.Core.Inside().BeginClaim(slot)
	question := told(h.Core.Effects(), record.MsgAsk)
	holder, at := founder.Core, founder.Clock()
	for _, m := range [][]byte{question, late} {
		if err := holder.Receive(at, m); err != nil {
			t.Fatal(err)
		}
	}
	if p, ok := holder.Inside().PromiseOf(slot); !ok || p.Claimant != h.ID {
		t.Error("the withdrawal of the first claim has taken back the promise to the second")
	}
}

func TestALatePromiseDoesNotCountForAnotherClaim(t *testing.T) {
	h, founder := claimant(t, 31)
	k := h.Core.Inside().Claim
	late := record.Answer{
		Slot: k().Slot, Epoch: k().Epoch, Claim: k().ID,
		Verdict: record.Promised, Holders: h.Core.Inside().HoldersHash(),
	}
	h.Core.Inside().GiveUp()
	h.Core.Inside().BeginClaim(late.Slot)
	if k().Epoch != late.Epoch {
		t.Fatalf("epoch %d, and %d", k().Epoch, late.Epoch)
	}
	if err := h.Core.Receive(h.Clock(), sim.MessageFrom(founder.Identity, h.Core, record.MsgAnswer, late)); err != nil {
		t.Fatal(err)
	}
	if k().Phase != core.PhaseAsking || h.Core.Inside().HasPromised(founder.ID) {
		t.Error("a promise that was given back counts")
	}
}

// Some node may have heard of the farewell, and no other node of the lease.
func TestASlotThatWasHandedBackIsAskedForAboveThatEpoch(t *testing.T) {
	h, _ := claimant(t, 32)
	c := h.Core
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
	w := h.World
	for h.Core.Inside().Claim().Phase != core.PhaseSaving && w.Now < time.Minute {
		w.Run(50 * time.Microsecond)
	}
	h.Disk.Full = true // it may take a while
	now := func() core.Time { return founder.Clock() }
	if !founder.Core.Retire(now()) {
		t.Fatal("it may go, though a claim that it has promised is under way")
	}
	a := record.Answer{}
	if !founder.Core.Inside().Refuse(record.Ask{Header: record.Header{From: w.Hosts[0].ID}, Slot: 200, Epoch: 1}, &a) || a.Verdict != record.NotHolder {
		t.Errorf("verdict %d while it retires, want that it has no say", a.Verdict)
	}
	h.Disk.Full = false
	w.RunUntil(10*time.Second, "confirmed", h.Confirmed)
	w.Run(time.Second)
	if founder.Core.Retire(now()) {
		t.Error("it waits though all is resolved")
	}
	w.Run(2 * core.RetireFor)
	if founder.Core.Inside().Retiring() {
		t.Error("it does not vote any more, though it has not left")
	}
}

// Perhaps no other node knows of a lease that was written and not confirmed.
// The present holders may have granted its slot to another node.
func TestALeaseThatWasNotConfirmedIsClaimedAnewByTheNextStart(t *testing.T) {
	h, founder := claimant(t, 36)
	w := h.World
	w.Links.Cuts = []*sim.Cut{{Blocks: func(from, to int) bool { return h.Core != nil && h.Core.Inside().Claim().Phase >= core.PhaseSaving }}}
	slot := h.Core.Inside().Claim().Slot
	for h.Disk.Synced == nil || !remembersLease(h.Disk.Synced) {
		w.Run(50 * time.Microsecond)
	}
	w.Run(20 * time.Millisecond)  // what was sent is lost
	h.Disk.Table = h.Core.State() // it may have been written in time
	h.Crash()
	w.Links.Cuts = nil
	w.Run(10 * time.Second)
	elsewhere := record.NodeID{9}
	founder.Core.Inside().DropPromises(func(core.Promise) bool { return true }) // as if others decided by now
	founder.Core.Inside().PutPromise(core.Promise{Slot: slot, Epoch: 5, Claimant: elsewhere, Claim: record.ClaimIDOf(1)})
	h.Boot()
	w.Run(3 * time.Second)
	if s, ok := h.Holding(); !ok || s == slot {
		t.Errorf("holds slot %d %v, want another one than %d, which is promised to another node", s, ok, slot)
	}
}

func remembersLease(durable []byte) bool {
	v, err := core.DecodeDurable(durable)
	return err == nil && len(v.Lease) > 0
}
