package core

import (
	"errors"
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

// threeHoldersOneWithoutTable are three holders that are down, the first of which has lost its node table, and a guest for it.
func threeHoldersOneWithoutTable(t *testing.T) (w *world, guest *host) {
	w = newWorld(t, 41, 4, nil)
	w.bootInTurn(w.hosts[:3])
	w.run(20 * time.Second)
	for _, h := range w.hosts[:3] {
		h.crash()
	}
	w.hosts[0].disk.table = nil
	w.hosts[0].boot()
	guest = w.hosts[3]
	guest.boot()
	w.run(5 * time.Minute)
	if guest.confirmed() {
		t.Fatalf("a holder that has lost its table, one of three, has let a guest in alone\n%s", w.dump())
	}
	return w, guest
}

func TestAHolderThatLostItsTableKnowsHowManyHoldersThereAre(t *testing.T) {
	w, guest := threeHoldersOneWithoutTable(t)
	if b := guest.core.View().Ballot; b == nil || b.Electors != 3 || b.Needed != 2 || len(b.Missing) != 2 {
		t.Errorf("the claim: %+v", b)
	}
	w.hosts[1].boot()
	w.runUntil(20*time.Second, "leased when there is a majority", guest.confirmed)
}

func TestANodeThatIsKnownByAPromiseOnlyCanBeForgotten(t *testing.T) {
	w, guest := threeHoldersOneWithoutTable(t)
	if err := w.hosts[0].forget(simIdentity(77).ID()); !errors.Is(err, ErrForgetUnknown) {
		t.Errorf("forget of somebody nobody knows: %v", err)
	}
	if owed := w.hosts[0].core.View().Owed; len(owed) != 2 {
		t.Errorf("owed a lease: %v", owed)
	}
	if err := w.hosts[0].forget(w.hosts[1].id); err != nil {
		t.Fatal(err)
	}
	w.runUntil(20*time.Second, "leased by the older of two", guest.confirmed)
}

// A promise that was made just before a crash may have become a lease.
func TestAPromiseOfAnEarlierStartCountsAsALease(t *testing.T) {
	w := newWorld(t, 42, 4, nil)
	w.bootInTurn(w.hosts[:1])
	w.run(2 * time.Second) // its table is on disk
	w.hosts[0].crash()
	v, err := DecodeVault(w.hosts[0].disk.synced)
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range w.hosts[1:3] {
		v.Promises = append(v.Promises, Promise{Slot: record.Slot(200 + i), Epoch: 1, Claimant: h.id, Claim: record.NewClaimID(1, 1)})
	}
	w.hosts[0].disk.vault, w.hosts[0].disk.synced = record.Encode(v), record.Encode(v)
	w.hosts[0].boot()
	guest := w.hosts[3]
	guest.boot()
	w.run(time.Minute)
	if guest.confirmed() {
		t.Fatalf("a third of those who may hold leases has let a guest in\n%s", w.dump())
	}
	w.hosts[1].boot() // it has no lease, and no use for the promise
	w.runUntil(20*time.Second, "both have a lease", func() bool { return guest.confirmed() && w.hosts[1].confirmed() })
}

// Others know of its farewell, and not yet that it has come back since.
func TestWhoLeftAndCameBackCountsAgain(t *testing.T) {
	w := newWorld(t, 44, 2, nil)
	w.bootInTurn(w.hosts)
	c, id := w.hosts[0].core, w.hosts[1].id
	w.hosts[1].leave()
	w.run(20 * time.Second)
	if owed := c.Inside().PossibleHolders(); len(owed) != 0 {
		t.Fatalf("owed %v, when nothing was promised", owed)
	}
	c.Inside().SetPromises(Promise{Slot: 200, Epoch: 1, Claimant: id, Claim: record.NewClaimID(1, 7)})
	if owed := c.Inside().PossibleHolders(); len(owed) != 0 {
		t.Errorf("what was promised before the farewell counts")
	}
	c.Inside().SetPromises(Promise{Slot: 200, Epoch: 1, Claimant: id, Claim: record.NewClaimID(2, 1)})
	if owed := c.Inside().PossibleHolders(); len(owed) != 1 || owed[0] != id {
		t.Errorf("what was promised to the next start does not count: %v", owed)
	}
}

// Who leaves knows of holders that others have not heard of. It comes back to some of those with the news that its lease has ended.
func TestANodeThatLeftRemembersWhoHoldsALease(t *testing.T) {
	w := newWorld(t, 43, 4, nil)
	first, second, late, leaver := w.hosts[0], w.hosts[1], w.hosts[2], w.hosts[3]
	w.bootInTurn([]*host{first, second, leaver})
	w.run(5 * time.Second)
	first.crash()
	w.run(20 * time.Second)
	late.seeds, leaver.seeds = w.hosts[1:2], w.hosts[:1]
	late.boot()
	w.runUntil(10*time.Second, "leased by two of three", late.confirmed)
	w.run(5 * time.Second)
	leaver.leave()
	w.run(5 * time.Second)
	second.crash()
	late.crash()
	first.boot()
	leaver.boot()
	w.run(time.Minute)
	if leaver.confirmed() {
		t.Fatalf("one of three holders has granted a lease\n%s", w.dump())
	}
	second.boot()
	w.runUntil(20*time.Second, "leased by two of three", leaver.confirmed)
}
