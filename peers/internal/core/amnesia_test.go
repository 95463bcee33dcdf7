package core

import (
	"net/netip"
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

func TestANodeThatLostItsVaultGetsItsLeaseBackAndDoesNotVoteForAWhile(t *testing.T) {
	w := newWorld(t, 9, 3, nil)
	w.bootInTurn(w.hosts)
	w.runUntil(10*time.Second, "tables equal", w.tablesEqual)
	h := w.hosts[1]
	before, _ := h.lease()
	h.crash()
	h.loseVault()
	h.boot()
	w.runUntil(5*time.Second, "lease taken back", h.confirmed)
	if after, _ := h.lease(); after != before {
		t.Errorf("lease is %s, had been %s", after, before)
	}
	a := record.Answer{}
	if refused := h.core.Inside().Refuse(record.Ask{Header: record.Header{From: w.hosts[2].identity.ID()}, Slot: 200, Epoch: 1}, &a); !refused || a.Verdict != record.Abstain {
		t.Errorf("verdict %d from a node without memory, want abstain", a.Verdict)
	}
}

func TestAHolderThatLostItsTableDoesNotVoteForAWhile(t *testing.T) {
	w := newWorld(t, 17, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.hosts[0].crash()
	w.hosts[1].crash()
	w.hosts[0].disk.table = nil
	w.hosts[0].boot()
	w.hosts[2].boot()
	w.run(30 * time.Second)
	if w.hosts[2].confirmed() {
		t.Fatal("a holder that knew of itself only granted a lease alone")
	}
}

func TestAHolderThatMayNotVoteYetIsAskedAgain(t *testing.T) {
	w := newWorld(t, 18, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.run(5 * time.Second)
	w.hosts[0].crash()
	w.hosts[0].loseVault()
	w.hosts[0].config.MayFound, w.hosts[0].seeds = false, w.hosts[1:2]
	w.hosts[0].boot()
	w.runUntil(10*time.Second, "lease taken back", w.hosts[0].confirmed)
	w.hosts[2].boot()
	w.runUntil(2*Amnesia, "leased, when both may vote", w.hosts[2].confirmed)
}

func TestAHolderThatLostItsTableDoesNotThinkItIsAloneAfterAnotherStart(t *testing.T) {
	w := newWorld(t, 24, 2, nil)
	w.bootInTurn(w.hosts)
	h := w.hosts[1]
	w.hosts[0].crash()
	h.crash()
	h.disk.table = nil
	h.boot()
	w.run(3 * time.Second) // it writes what it knows: itself
	h.crash()
	h.config.Pin = netip.MustParsePrefix("10.244.99.0/24")
	h.boot()
	w.run(10 * time.Second)
	if h.confirmed() {
		t.Fatal("it has granted itself another lease, though there is another holder")
	}
}

func TestNodesThatKnowNothingDoNotGrantThemselvesLeases(t *testing.T) {
	w := newWorld(t, 25, 3, nil)
	w.bootInTurn(w.hosts)
	for _, h := range w.hosts {
		h.crash()
		h.disk.table = nil
	}
	h := w.hosts[2]
	v, err := DecodeVault(h.disk.synced)
	if err != nil {
		t.Fatal(err)
	}
	v.Lease = nil // it was about to get one
	h.disk.vault, h.disk.synced = record.Encode(v), record.Encode(v)
	w.checks.deed(h.id).slot = 0
	h.seeds, w.hosts[1].seeds = w.hosts[1:2], nil
	w.hosts[1].config.Pin = netip.MustParsePrefix("10.244.99.0/24")
	w.hosts[1].boot()
	h.boot()
	w.run(30 * time.Second)
	if h.confirmed() || w.hosts[1].confirmed() {
		t.Fatalf("a lease was granted without the founder, whom neither remembers\n%s", w.dump())
	}
}

func TestAmnesiaEndsForGood(t *testing.T) {
	w := newWorld(t, 27, 2, nil)
	w.bootInTurn(w.hosts)
	h := w.hosts[1]
	h.crash()
	h.disk.table = nil
	h.boot()
	w.run(10 * time.Second)
	if !h.core.Inside().Amnesiac() {
		t.Fatal("it votes, though its table was lost")
	}
	w.run(2 * Amnesia)
	h.crash()
	h.boot()
	w.run(10 * time.Second)
	if h.core.Inside().Amnesiac() {
		t.Error("it knows everything again, and does not vote after another start")
	}
}

// Somebody who has lost its table knows of no holder, and must not be believed in that.
func TestWhatAmnesiacsTellIsNotTheWholeTable(t *testing.T) {
	w := newWorld(t, 35, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.run(2 * time.Second) // the founder's table is on disk
	w.hosts[0].crash()
	h, guest := w.hosts[1], w.hosts[2]
	h.crash()
	v, err := DecodeVault(h.disk.synced)
	if err != nil {
		t.Fatal(err)
	}
	v.Lease = nil // it was about to get one
	h.disk.vault, h.disk.synced, h.disk.table = record.Encode(v), record.Encode(v), nil
	w.checks.deed(h.id).slot = 0
	h.config.Pin = netip.MustParsePrefix("10.244.99.0/24")
	h.boot()
	guest.seeds = w.hosts[1:2]
	guest.boot()
	w.run(10 * time.Minute)
	if guest.confirmed() || h.confirmed() {
		t.Fatalf("a lease was granted without the founder\n%s", w.dump())
	}
	w.hosts[0].boot()
	w.runUntil(20*time.Second, "leased once somebody knows", guest.confirmed)
}
