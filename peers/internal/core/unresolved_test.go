// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"errors"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

// threeHoldersOneWithoutTable are three holders that were down, and a guest.
// The first holder has lost its node table, and is up again.
func threeHoldersOneWithoutTable(t *testing.T) (w *sim.World, guest *sim.Host) {
	w = sim.New(t, 41, 4, nil)
	w.BootInTurn(w.Hosts[:3])
	w.Run(20 * time.Second)
	for _, h := range w.Hosts[:3] {
		h.Crash()
	}
	w.Hosts[0].Disk.Table = nil
	w.Hosts[0].Boot()
	guest = w.Hosts[3]
	guest.Boot()
	w.Run(5 * time.Minute)
	if guest.Confirmed() {
		t.Fatalf("a holder that has lost its table, one of three, has let a guest in alone\n%s", w.Dump())
	}
	return w, guest
}

func TestAHolderThatLostItsTableKnowsHowManyHoldersThereAre(t *testing.T) {
	w, guest := threeHoldersOneWithoutTable(t)
	if b := guest.Core.View().Ballot; b == nil || b.Electors != 3 || b.Needed != 2 || len(b.Missing) != 2 {
		t.Errorf("the claim: %+v", b)
	}
	w.Hosts[1].Boot()
	w.RunUntil(20*time.Second, "leased when there is a majority", guest.Confirmed)
}

func TestANodeThatIsKnownByAPromiseOnlyCanBeForgotten(t *testing.T) {
	w, guest := threeHoldersOneWithoutTable(t)
	if err := w.Hosts[0].Forget(sim.Identity(77).ID()); !errors.Is(err, core.ErrForgetUnknown) {
		t.Errorf("forget of an unknown node: %v", err)
	}
	if owed := w.Hosts[0].Core.View().PossibleHolders; len(owed) != 2 {
		t.Errorf("owed a lease: %v", owed)
	}
	if err := w.Hosts[0].Forget(w.Hosts[1].ID); err != nil {
		t.Fatal(err)
	}
	w.RunUntil(20*time.Second, "leased by the older of two", guest.Confirmed)
}

// A promise that was made just before a crash may have become a lease.
func TestAPromiseOfAnEarlierStartCountsAsALease(t *testing.T) {
	w := sim.New(t, 42, 4, nil)
	w.BootInTurn(w.Hosts[:1])
	w.Run(2 * time.Second) // its table is on disk
	w.Hosts[0].Crash()
	v, err := core.DecodeDurable(w.Hosts[0].Disk.Synced)
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range w.Hosts[1:3] {
		v.Promises = append(v.Promises, core.Promise{Slot: record.Slot(200 + i), Epoch: 1, Claimant: h.ID, Claim: record.NewClaimID(1, 1)})
	}
	w.Hosts[0].Disk.Durable, w.Hosts[0].Disk.Synced = record.Encode(v), record.Encode(v)
	w.Hosts[0].Boot()
	guest := w.Hosts[3]
	guest.Boot()
	w.Run(time.Minute)
	if guest.Confirmed() {
		t.Fatalf("a third of the possible holders has let a guest in\n%s", w.Dump())
	}
	w.Hosts[1].Boot() // it has no lease, and no use for the promise
	w.RunUntil(20*time.Second, "both have a lease", func() bool { return guest.Confirmed() && w.Hosts[1].Confirmed() })
}

// Others know of its farewell, and not yet that it has come back since.
func TestWhoLeftAndCameBackCountsAgain(t *testing.T) {
	w := sim.New(t, 44, 2, nil)
	w.BootInTurn(w.Hosts)
	c, id := w.Hosts[0].Core, w.Hosts[1].ID
	w.Hosts[1].Leave()
	w.Run(20 * time.Second)
	if owed := c.Inside().PossibleHolders(); len(owed) != 0 {
		t.Fatalf("owed %v, when nothing was promised", owed)
	}
	c.Inside().SetPromises(core.Promise{Slot: 200, Epoch: 1, Claimant: id, Claim: record.NewClaimID(1, 7)})
	if owed := c.Inside().PossibleHolders(); len(owed) != 0 {
		t.Errorf("what was promised before the farewell counts")
	}
	c.Inside().SetPromises(core.Promise{Slot: 200, Epoch: 1, Claimant: id, Claim: record.NewClaimID(2, 1)})
	if owed := c.Inside().PossibleHolders(); len(owed) != 1 || owed[0] != id {
		t.Errorf("what was promised to the next start does not count: %v", owed)
	}
}

// A node that leaves knows of holders that others have not heard of. It comes
// back to some other nodes with the news that its lease has ended.
func TestANodeThatLeftRemembersWhoHoldsALease(t *testing.T) {
	w := sim.New(t, 43, 4, nil)
	first, second, late, leaver := w.Hosts[0], w.Hosts[1], w.Hosts[2], w.Hosts[3]
	w.BootInTurn([]*sim.Host{first, second, leaver})
	w.Run(5 * time.Second)
	first.Crash()
	w.Run(20 * time.Second)
	late.Seeds, leaver.Seeds = w.Hosts[1:2], w.Hosts[:1]
	late.Boot()
	w.RunUntil(10*time.Second, "leased by two of three", late.Confirmed)
	w.Run(5 * time.Second)
	leaver.Leave()
	w.Run(5 * time.Second)
	second.Crash()
	late.Crash()
	first.Boot()
	leaver.Boot()
	w.Run(time.Minute)
	if leaver.Confirmed() {
		t.Fatalf("one of three holders has granted a lease\n%s", w.Dump())
	}
	second.Boot()
	w.RunUntil(20*time.Second, "leased by two of three", leaver.Confirmed)
}
