// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

// fakeOutlook is leases and live nodes as a test sets them.
type fakeOutlook struct {
	leases map[record.Slot]*record.LeaseRecord
	up     map[record.NodeID]bool
}

func (o fakeOutlook) leaseOf(s record.Slot) *record.LeaseRecord { return o.leases[s] }
func (o fakeOutlook) isUp(id record.NodeID) bool                { return o.up[id] }

func testLedger() (*ledger, fakeOutlook) {
	o := fakeOutlook{map[record.Slot]*record.LeaseRecord{}, map[record.NodeID]bool{}}
	l := newLedger(o)
	return &l, o
}

func promiseTo(id byte, s record.Slot, epoch uint64) Promise {
	return Promise{Slot: s, Epoch: epoch, Claimant: record.NodeID{id}, Claim: record.NewClaimID(1, 1)}
}

func TestAPromiseIsUnresolvedUntilALeaseOrALiveClaimantResolvesIt(t *testing.T) {
	l, o := testLedger()
	l.promises = []Promise{promiseTo(1, 7, 3)} // of an earlier start
	l.put(promiseTo(2, 8, 1), 0)
	for at, want := range map[Time]int{0: 1, unresolvedAfter - 1: 1, unresolvedAfter: 2} {
		if got := len(l.unresolved(at)); got != want {
			t.Errorf("after %v %d are unresolved, want %d", at, got, want)
		}
	}
	o.up[record.NodeID{2}] = true
	o.leases[7] = &record.LeaseRecord{Slot: 7, Epoch: 2}
	if open := l.unresolved(time.Hour); len(open) != 1 || open[0].Slot != 7 {
		t.Errorf("unresolved: %v, want slot 7: a lease of a lower epoch resolves nothing", open)
	}
	o.leases[7].Epoch = 3
	if open := l.unresolved(time.Hour); len(open) != 0 {
		t.Errorf("unresolved: %v, want none", open)
	}
}

func TestAResolvedPromiseIsDroppedAWhileLater(t *testing.T) {
	l, o := testLedger()
	l.put(promiseTo(1, 7, 1), 0)
	o.leases[7] = &record.LeaseRecord{Slot: 7, Epoch: 1}
	if l.dropResolved(resolvedFor-1) || l.of(7) == nil {
		t.Error("it is dropped too early")
	}
	if !l.dropResolved(resolvedFor) || l.of(7) != nil {
		t.Error("it is not dropped")
	}
}

func TestAPromiseThatIsGivenBackKeepsItsEpoch(t *testing.T) {
	l, _ := testLedger()
	l.put(promiseTo(1, 7, 5), 0)
	l.put(promiseTo(2, 8, 5), 0)
	if n := l.voidWhere(func(p Promise) bool { return p.Slot == 7 }); n != 1 {
		t.Errorf("%d are given back, want 1", n)
	}
	if p := l.of(7); p.isOpen() || p.Epoch != 5 {
		t.Errorf("left is %+v", p)
	}
	if n := l.expire(time.Hour, time.Hour); n != 1 || l.of(8).isOpen() {
		t.Errorf("%d have expired, want 1", n)
	}
}

func TestAFullLedgerMakesRoomOnlyByPromisesThatWereGivenBack(t *testing.T) {
	l, _ := testLedger()
	for s := range record.Slot(maxPromises) {
		l.put(promiseTo(1, s+1, 1), 0)
	}
	if l.makeRoom() {
		t.Fatal("an open promise made room")
	}
	l.voidWhere(func(p Promise) bool { return p.Slot == 9 })
	if !l.makeRoom() || l.of(9) != nil || len(l.promises) != maxPromises-1 {
		t.Errorf("%d promises, slot 9 %v", len(l.promises), l.of(9))
	}
}

func TestLeasesOfTheLastStartBecomePromises(t *testing.T) {
	l, o := testLedger()
	self := record.NodeID{9}
	o.leases[1] = &record.LeaseRecord{Slot: 1, Epoch: 4}
	l.promises = []Promise{promiseTo(1, 2, 1), promiseTo(1, 3, 9)}
	l.loadLeases([]Promise{promiseTo(5, 1, 4), promiseTo(5, 2, 2), promiseTo(5, 3, 2), promiseTo(5, 4, 1), {Slot: 5, Epoch: 1, Claimant: self}}, self)
	for s, want := range map[record.Slot]byte{1: 0, 2: 5, 3: 1, 4: 5, 5: 0} {
		got := byte(0)
		if p := l.of(s); p != nil {
			got = p.Claimant[0]
		}
		if got != want {
			t.Errorf("slot %d is promised to node %d, want %d", s, got, want)
		}
	}
}
