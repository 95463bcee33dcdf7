// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

// A holder counts its own promise for its claim, so no other node can have it.
func TestAHolderThatAsksForASlotPromisesItToNobodyElse(t *testing.T) {
	w := sim.New(t, 45, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	w.Run(5 * time.Second)
	w.Hosts[0].Crash()
	h := w.Hosts[1]
	h.Crash()
	h.Config.Pin = netip.MustParsePrefix("10.244.99.0/24")
	h.Boot()
	w.Hosts[2].Seeds = w.Hosts[1:2]
	w.Hosts[2].Boot()
	w.RunUntil(10*time.Second, "it asks", func() bool { return h.Core.Inside().Claim().Phase == core.PhaseAsking })
	a := record.Answer{}
	if !h.Core.Inside().Refuse(record.Ask{Header: record.Header{From: w.Hosts[2].ID}, Slot: h.Core.Inside().Claim().Slot, Epoch: h.Core.Inside().Claim().Epoch, Ordinal: h.Core.Inside().Claim().Ordinal}, &a) || a.Verdict != record.Taken || a.By != h.ID {
		t.Errorf("verdict %d by %s, want that it is taken by the holder itself", a.Verdict, a.By.Short())
	}
}

func TestReservedSubnetsAreNeitherClaimedNorPromised(t *testing.T) {
	for seed := range uint64(10) {
		w := sim.New(t, seed, 3, func(i int, c *core.Config) {
			if i == 0 { // the others do not know of the reservation
				c.Want = record.Network{Prefix: netip.MustParsePrefix("10.9.0.0/26"), SubnetLen: 28} // 3 slots
				c.Reserved = []core.Reservation{{Subnet: netip.MustParsePrefix("10.9.0.16/28")}}
			}
		})
		for _, h := range w.Hosts[:2] {
			h.Boot()
			w.RunUntil(30*time.Second, "lease confirmed", h.Confirmed)
		}
		w.Hosts[2].Boot()
		w.Run(20 * time.Second)
		if w.Hosts[2].Confirmed() {
			t.Fatalf("seed %d: a reserved subnet was handed out\n%s", seed, w.Dump())
		}
	}
}

func TestNothingIsPromisedBeforeItIsDurable(t *testing.T) {
	w := sim.New(t, 14, 2, nil)
	w.Hosts[0].Boot()
	w.RunUntil(2*time.Second, "founder confirmed", w.Hosts[0].Confirmed)
	c := w.Hosts[0].Core
	c.MemberUp(0, w.Hosts[1].ID)
	msg := sim.MessageFrom(w.Hosts[1].Identity, c, record.MsgAsk, record.Ask{Slot: 9, Epoch: 1, Ordinal: 2})
	if err := c.Receive(0, msg); err != nil {
		t.Fatal(err)
	}
	e := c.Effects()
	if e.Save == nil || len(e.Sends) != 0 {
		t.Fatalf("before the disk answered: save %v, %d sends; want a save and no send", e.Save, len(e.Sends))
	}
	c.Saved(0, e.Save.Token, errors.New("disk full"))
	if e := c.Effects(); len(e.Sends) != 0 {
		t.Fatal("a promise was sent although it could not be written")
	}
	c.Saved(0, e.Save.Token, nil)
	if e := c.Effects(); len(e.Sends) != 1 {
		t.Fatalf("%d sends after the promise was written, want 1", len(e.Sends))
	}
}

func TestASlotIsNeverPromisedTwice(t *testing.T) {
	w := sim.New(t, 15, 3, nil)
	w.Hosts[0].Boot()
	w.RunUntil(2*time.Second, "founder confirmed", w.Hosts[0].Confirmed)
	c := w.Hosts[0].Core
	c.MemberUp(0, w.Hosts[1].ID)
	c.MemberUp(0, w.Hosts[2].ID)
	verdictOf := func(from record.Identity, epoch uint64) record.Verdict {
		t.Helper()
		if err := c.Receive(0, sim.MessageFrom(from, c, record.MsgAsk, record.Ask{Slot: 9, Epoch: epoch, Ordinal: 2})); err != nil {
			t.Fatal(err)
		}
		e := c.Effects()
		if e.Save != nil {
			c.Saved(0, e.Save.Token, nil)
			e.Sends = append(e.Sends, c.Effects().Sends...)
		}
		_, body, err := sim.Split(e.Sends[len(e.Sends)-1].Msg)
		if err != nil {
			t.Fatal(err)
		}
		a, err := record.DecodeBody[record.Answer](body)
		if err != nil {
			t.Fatal(err)
		}
		return a.Verdict
	}
	one, two := w.Hosts[1].Identity, w.Hosts[2].Identity
	steps := []struct {
		from  record.Identity
		epoch uint64
		want  record.Verdict
	}{{one, 1, record.Promised}, {one, 1, record.Promised}, {two, 1, record.Taken}, {two, 2, record.Taken}, {one, 2, record.Promised}, {one, 1, record.Stale}}
	for i, s := range steps {
		if got := verdictOf(s.from, s.epoch); got != s.want {
			t.Errorf("step %d: verdict %d, want %d", i, got, s.want)
		}
	}
	if err := c.Receive(0, sim.MessageFrom(one, c, record.MsgWithdraw, record.Withdraw{Slot: 9})); err != nil {
		t.Fatal(err)
	}
	if got := verdictOf(two, 2); got != record.Stale {
		t.Errorf("after the withdrawal, at the withdrawn epoch: verdict %d, want stale", got)
	}
	if got := verdictOf(two, 3); got != record.Promised {
		t.Errorf("after the withdrawal, above it: verdict %d, want promised", got)
	}
}

func TestAPromiseThatNobodyWaitsForIsGivenBack(t *testing.T) {
	w := sim.New(t, 19, 2, nil)
	w.BootInTurn(w.Hosts)
	c := w.Hosts[0].Core
	w.Hosts[0].Do(func(now core.Time) { // a question that its withdrawal has overtaken
		_ = c.Receive(now, sim.MessageFrom(w.Hosts[1].Identity, c, record.MsgAsk, record.Ask{Slot: 9, Epoch: 1, Ordinal: 3}))
	})
	w.Run(2 * core.RemindEvery)
	if p, ok := c.Inside().PromiseOf(9); !ok || !p.Claimant.IsZero() {
		t.Errorf("promise %v still stands", p)
	}
}
