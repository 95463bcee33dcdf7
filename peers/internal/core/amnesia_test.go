// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"net/netip"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

func TestANodeThatLostItsDurableStateGetsItsLeaseBackAndDoesNotVoteForAWhile(t *testing.T) {
	w := sim.New(t, 9, 3, nil)
	w.BootInTurn(w.Hosts)
	w.RunUntil(10*time.Second, "tables equal", w.TablesEqual)
	h := w.Hosts[1]
	before, _ := h.Lease()
	h.Crash()
	h.LoseDurable()
	h.Boot()
	w.RunUntil(5*time.Second, "lease taken back", h.Confirmed)
	if after, _ := h.Lease(); after != before {
		t.Errorf("lease is %s, had been %s", after, before)
	}
	a := record.Answer{}
	if refused := h.Core.Inside().Refuse(record.Ask{Header: record.Header{From: w.Hosts[2].Identity.ID()}, Slot: 200, Epoch: 1}, &a); !refused || a.Verdict != record.Abstain {
		t.Errorf("verdict %d from a node without memory, want abstain", a.Verdict)
	}
}

func TestAHolderThatLostItsTableDoesNotVoteForAWhile(t *testing.T) {
	w := sim.New(t, 17, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	w.Hosts[0].Crash()
	w.Hosts[1].Crash()
	w.Hosts[0].Disk.Table = nil
	w.Hosts[0].Boot()
	w.Hosts[2].Boot()
	w.Run(30 * time.Second)
	if w.Hosts[2].Confirmed() {
		t.Fatal("a holder that knew of itself only granted a lease alone")
	}
}

func TestAHolderThatMayNotVoteYetIsAskedAgain(t *testing.T) {
	w := sim.New(t, 18, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	w.Run(5 * time.Second)
	w.Hosts[0].Crash()
	w.Hosts[0].LoseDurable()
	w.Hosts[0].Config.MayFound, w.Hosts[0].Seeds = false, w.Hosts[1:2]
	w.Hosts[0].Boot()
	w.RunUntil(10*time.Second, "lease taken back", w.Hosts[0].Confirmed)
	w.Hosts[2].Boot()
	w.RunUntil(2*core.Amnesia, "leased, when both may vote", w.Hosts[2].Confirmed)
}

func TestAHolderThatLostItsTableDoesNotThinkItIsAloneAfterAnotherStart(t *testing.T) {
	w := sim.New(t, 24, 2, nil)
	w.BootInTurn(w.Hosts)
	h := w.Hosts[1]
	w.Hosts[0].Crash()
	h.Crash()
	h.Disk.Table = nil
	h.Boot()
	w.Run(3 * time.Second) // it writes what it knows: itself
	h.Crash()
	h.Config.Pin = netip.MustParsePrefix("10.244.99.0/24")
	h.Boot()
	w.Run(10 * time.Second)
	if h.Confirmed() {
		t.Fatal("it has granted itself another lease, though there is another holder")
	}
}

func TestNodesThatKnowNothingDoNotGrantThemselvesLeases(t *testing.T) {
	w := sim.New(t, 25, 3, nil)
	w.BootInTurn(w.Hosts)
	for _, h := range w.Hosts {
		h.Crash()
		h.Disk.Table = nil
	}
	h := w.Hosts[2]
	v, err := core.DecodeDurable(h.Disk.Synced)
	if err != nil {
		t.Fatal(err)
	}
	v.Lease = nil // it was about to get one
	h.Disk.Durable, h.Disk.Synced = record.Encode(v), record.Encode(v)
	h.Disown()
	h.Seeds, w.Hosts[1].Seeds = w.Hosts[1:2], nil
	w.Hosts[1].Config.Pin = netip.MustParsePrefix("10.244.99.0/24")
	w.Hosts[1].Boot()
	h.Boot()
	w.Run(30 * time.Second)
	if h.Confirmed() || w.Hosts[1].Confirmed() {
		t.Fatalf("a lease was granted without the founder, which neither remembers\n%s", w.Dump())
	}
}

func TestAmnesiaEndsForGood(t *testing.T) {
	w := sim.New(t, 27, 2, nil)
	w.BootInTurn(w.Hosts)
	h := w.Hosts[1]
	h.Crash()
	h.Disk.Table = nil
	h.Boot()
	w.Run(10 * time.Second)
	if !h.Core.Inside().Amnesiac() {
		t.Fatal("it votes, though its table was lost")
	}
	w.Run(2 * core.Amnesia)
	h.Crash()
	h.Boot()
	w.Run(10 * time.Second)
	if h.Core.Inside().Amnesiac() {
		t.Error("it knows everything again, and does not vote after another start")
	}
}

// A node that lost its table knows of no holder, and must not be believed in
// that.
func TestWhatAmnesiacsTellIsNotTheWholeTable(t *testing.T) {
	w := sim.New(t, 35, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	w.Run(2 * time.Second) // the founder's table is on disk
	w.Hosts[0].Crash()
	h, guest := w.Hosts[1], w.Hosts[2]
	h.Crash()
	v, err := core.DecodeDurable(h.Disk.Synced)
	if err != nil {
		t.Fatal(err)
	}
	v.Lease = nil // it was about to get one
	h.Disk.Durable, h.Disk.Synced, h.Disk.Table = record.Encode(v), record.Encode(v), nil
	h.Disown()
	h.Config.Pin = netip.MustParsePrefix("10.244.99.0/24")
	h.Boot()
	guest.Seeds = w.Hosts[1:2]
	guest.Boot()
	w.Run(10 * time.Minute)
	if guest.Confirmed() || h.Confirmed() {
		t.Fatalf("a lease was granted without the founder\n%s", w.Dump())
	}
	w.Hosts[0].Boot()
	w.RunUntil(20*time.Second, "leased once a node knows", guest.Confirmed)
}
