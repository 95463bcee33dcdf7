package core

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

func TestTheFounderConfirmsItsOwnLeaseAndOthersAreGrantedTheirs(t *testing.T) {
	w := newWorld(t, 1, 5, nil)
	w.bootInTurn(w.hosts)
	for i, h := range w.hosts[1:] {
		v := h.core.View()
		for _, n := range v.Nodes {
			if n.Self && int(n.Lease.Electors) != i+1 {
				t.Errorf("host %d was granted its lease by %d electors, want %d", h.index, n.Lease.Electors, i+1)
			}
		}
	}
	w.runUntil(20*time.Second, "tables equal", w.tablesEqual)
}

func TestManyClaimsAtOnceNeverOverlap(t *testing.T) {
	for seed := range uint64(40) {
		w := newWorld(t, seed, 13, nil)
		w.links.loss, w.links.double, w.links.base = 0.05, 0.1, 40*time.Millisecond
		w.hosts[0].boot()
		w.runUntil(5*time.Second, "founder confirmed", w.hosts[0].confirmed)
		for _, h := range w.hosts[1:] {
			h.boot()
		}
		w.runUntil(time.Minute, "all confirmed", func() bool { return w.confirmedHosts() == 13 })
		w.runUntil(time.Minute, "tables equal", w.tablesEqual)
	}
}

func TestTheLastSlotsAreHandedOutWithoutOverlapAndTheRestWaits(t *testing.T) {
	small := func(_ int, c *Config) {
		if c.MayFound {
			c.Want = record.Network{Prefix: netip.MustParsePrefix("10.9.0.0/24"), SubnetLen: 27} // 7 slots
		}
	}
	for seed := range uint64(20) {
		w := newWorld(t, seed, 10, small)
		w.links.loss, w.links.base = 0.02, 20*time.Millisecond
		w.hosts[0].boot()
		w.runUntil(5*time.Second, "founder confirmed", w.hosts[0].confirmed)
		for _, h := range w.hosts[1:] {
			h.boot()
		}
		w.runUntil(2*time.Minute, "7 confirmed", func() bool { return w.confirmedHosts() == 7 })
		w.run(10 * time.Second)
		waiting := 0
		for _, h := range w.hosts {
			if strings.Contains(h.core.View().Waiting, "no free subnet: 7 subnets, 7 held by live nodes") {
				waiting++
			}
		}
		if waiting != 3 {
			t.Fatalf("seed %d: %d hosts say that no subnet is free, want 3\n%s", seed, waiting, w.dump())
		}
		// One leaves: somebody else gets its subnet.
		w.hosts[0].leave()
		w.runUntil(time.Minute, "7 confirmed again", func() bool { return w.confirmedHosts() == 7 })
	}
}

func TestTheSmallerPartHandsOutNothingAndHealsByItself(t *testing.T) {
	w := newWorld(t, 7, 6, nil)
	w.bootInTurn(w.hosts[:5])
	w.links.cuts = []*cut{{blocks: func(a, b int) bool { return (a < 2 || a == 5) != (b < 2 || b == 5) }}}
	part := []*host{w.hosts[0], w.hosts[1], w.hosts[5]}
	w.hosts[5].boot() // joins the smaller part: hosts 0 and 1 of 5 holders
	w.run(10 * time.Second)
	if w.hosts[5].confirmed() {
		t.Fatal("a lease was confirmed by 2 of 5 holders")
	}
	waiting := w.hosts[5].core.View().Waiting
	if !strings.Contains(waiting, "2 of the 5 lease holders promised") || !strings.Contains(waiting, "3 are needed") {
		t.Errorf("waiting line %q does not say who is missing", waiting)
	}
	for _, h := range part {
		if h.index != 5 && !h.confirmed() {
			t.Errorf("host %d lost its lease in the cut", h.index)
		}
	}
	w.links.cuts = nil
	w.runUntil(10*time.Second, "confirmed after the cut", w.hosts[5].confirmed)
}

func TestOfTwoNodesTheOlderLetsANewcomerInWithoutTheYounger(t *testing.T) {
	w := newWorld(t, 3, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.hosts[1].crash()
	w.run(10 * time.Second)
	w.hosts[2].boot()
	w.runUntil(5*time.Second, "newcomer confirmed by the older node", w.hosts[2].confirmed)
}

func TestOfTwoNodesTheYoungerAloneLetsNobodyIn(t *testing.T) {
	w := newWorld(t, 3, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.hosts[0].crash()
	w.run(10 * time.Second)
	w.hosts[2].seeds = w.hosts[1:2]
	w.hosts[2].boot()
	w.run(30 * time.Second)
	if w.hosts[2].confirmed() {
		t.Fatal("the younger of two holders confirmed a lease alone")
	}
	if err := w.hosts[1].forget(w.hosts[0].id); err != nil {
		t.Fatal(err)
	}
	w.runUntil(10*time.Second, "confirmed after the dead node was forgotten", w.hosts[2].confirmed)
}

func TestAPinIsHeldOrRefusedWithTheHoldersName(t *testing.T) {
	pin := netip.MustParsePrefix("10.244.77.0/24")
	w := newWorld(t, 4, 3, func(i int, c *Config) {
		if i > 0 {
			c.Pin = pin
		}
	})
	w.hosts[0].boot()
	w.runUntil(2*time.Second, "founder confirmed", w.hosts[0].confirmed)
	w.hosts[1].boot()
	w.runUntil(5*time.Second, "pinned lease confirmed", w.hosts[1].confirmed)
	if s, _ := w.hosts[1].lease(); s != pin {
		t.Fatalf("lease is %s, want the pin %s", s, pin)
	}
	w.hosts[2].boot()
	w.runUntil(5*time.Second, "refused", func() bool { return w.hosts[2].fatal != nil })
	if err := w.hosts[2].fatal; !errors.Is(err, ErrSubnetHeld) || !strings.Contains(err.Error(), "host1") {
		t.Errorf("error %q does not name the holder", err)
	}
}

func TestANodeMovesToItsNewPinAndFreesWhatItHeld(t *testing.T) {
	w := newWorld(t, 5, 3, nil)
	w.bootInTurn(w.hosts)
	w.hosts[2].crash()
	pin := netip.MustParsePrefix("10.244.99.0/24")
	w.hosts[2].config.Pin = pin
	w.hosts[2].boot()
	w.runUntil(5*time.Second, "moved", func() bool { s, ok := w.hosts[2].lease(); return ok && s == pin })
	w.runUntil(10*time.Second, "tables equal", w.tablesEqual)
	held := 0
	for _, l := range w.hosts[0].core.Inside().Table().Leases {
		if l.Rec.Holder == w.hosts[2].identity.ID() {
			held++
		}
	}
	if held != 1 {
		t.Errorf("the moved node holds %d subnets, want 1", held)
	}
}

// It counts its own promise for its claim, so nobody else can have it.
func TestAHolderThatAsksForASlotPromisesItToNobodyElse(t *testing.T) {
	w := newWorld(t, 45, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.run(5 * time.Second)
	w.hosts[0].crash()
	h := w.hosts[1]
	h.crash()
	h.config.Pin = netip.MustParsePrefix("10.244.99.0/24")
	h.boot()
	w.hosts[2].seeds = w.hosts[1:2]
	w.hosts[2].boot()
	w.runUntil(10*time.Second, "it asks", func() bool { return h.core.Inside().Claim().Phase == PhaseAsking })
	a := record.Answer{}
	if !h.core.Inside().Refuse(record.Ask{Header: record.Header{From: w.hosts[2].id}, Slot: h.core.Inside().Claim().Slot, Epoch: h.core.Inside().Claim().Epoch, Ordinal: h.core.Inside().Claim().Ordinal}, &a) || a.Verdict != record.Taken || a.By != h.id {
		t.Errorf("verdict %d by %s, want that it is taken by the holder itself", a.Verdict, a.By.Short())
	}
}

func TestReservedSubnetsAreNeitherClaimedNorPromised(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t, seed, 3, func(i int, c *Config) {
			if i == 0 { // the others do not know of the reservation
				c.Want = record.Network{Prefix: netip.MustParsePrefix("10.9.0.0/26"), SubnetLen: 28} // 3 slots
				c.Reserved = []Reservation{{Subnet: netip.MustParsePrefix("10.9.0.16/28")}}
			}
		})
		for _, h := range w.hosts[:2] {
			h.boot()
			w.runUntil(30*time.Second, "lease confirmed", h.confirmed)
		}
		w.hosts[2].boot()
		w.run(20 * time.Second)
		if w.hosts[2].confirmed() {
			t.Fatalf("seed %d: a reserved subnet was handed out\n%s", seed, w.dump())
		}
	}
}

func TestADeadNodesSubnetIsClaimedOnlyAfterTheLeaseTTL(t *testing.T) {
	ttl := 10 * time.Minute
	tiny := func(_ int, c *Config) {
		c.LeaseTTL = ttl
		if c.MayFound {
			c.Want = record.Network{Prefix: netip.MustParsePrefix("10.9.0.0/26"), SubnetLen: 28} // 3 slots
		}
	}
	w := newWorld(t, 6, 4, tiny)
	w.bootInTurn(w.hosts[:3])
	dead, _ := w.hosts[2].lease()
	w.hosts[2].crash()
	w.hosts[3].boot()
	w.run(ttl - 30*time.Second)
	if w.hosts[3].confirmed() {
		t.Fatal("a dead node's subnet was claimed before the lease TTL had passed")
	}
	w.runUntil(2*time.Minute, "reclaimed", w.hosts[3].confirmed)
	if s, _ := w.hosts[3].lease(); s != dead {
		t.Fatalf("reclaimed %s, want %s", s, dead)
	}
	w.hosts[2].boot() // it comes back: its lease is another's now
	w.runUntil(5*time.Second, "loss noticed", func() bool { _, lost := w.hosts[2].core.Lost(); return lost })
}

func TestAConfirmedLeaseIsBackAtOnceWithNobodyThere(t *testing.T) {
	w := newWorld(t, 8, 3, nil)
	w.bootInTurn(w.hosts)
	before, _ := w.hosts[2].lease()
	w.run(5 * time.Second)
	for _, h := range w.hosts {
		h.crash()
	}
	w.hosts[2].boot()
	w.run(50 * time.Millisecond) // a disk write
	if after, ok := w.hosts[2].lease(); !ok || after != before {
		t.Fatalf("lease after the restart is %v, want %v at once", after, before)
	}
	if n := len(w.hosts[2].core.View().Nodes); n != 3 {
		t.Errorf("%d nodes are remembered, want 3", n)
	}
}

func TestForgetRefusesTheLivingTheUnknownAndItself(t *testing.T) {
	w := newWorld(t, 10, 3, nil)
	w.bootInTurn(w.hosts[:2])
	c := w.hosts[0].core
	c.MemberUp(0, simIdentity(77).ID())
	c.MemberSuspect(0, simIdentity(77).ID(), true)
	for id, want := range map[record.NodeID]error{
		w.hosts[0].identity.ID(): ErrForgetSelf,
		w.hosts[1].identity.ID(): ErrForgetAlive,
		w.hosts[2].identity.ID(): ErrForgetUnknown,
		simIdentity(77).ID():     ErrForgetSuspect,
	} {
		if err := c.Forget(0, id); !errors.Is(err, want) {
			t.Errorf("Forget(%s) = %v, want %v", id.Short(), err, want)
		}
	}
}

func TestAForgottenNodeThatReturnsKeepsItsSubnetWhileNoOtherNodeHasIt(t *testing.T) {
	w := newWorld(t, 11, 3, nil)
	w.bootInTurn(w.hosts)
	h := w.hosts[2]
	before, _ := h.lease()
	h.crash()
	w.run(10 * time.Second)
	if err := w.hosts[0].forget(h.id); err != nil {
		t.Fatal(err)
	}
	w.run(time.Second)
	h.boot()
	w.runUntil(5*time.Second, "the slot is granted again", func() bool {
		l := w.hosts[0].core.Inside().Table().HeldBy(h.id)
		return l != nil && h.confirmed()
	})
	if after, ok := h.lease(); !ok || after != before {
		t.Errorf("holds %s %v, had %s", after, ok, before)
	}
	w.runUntil(20*time.Second, "tables equal", w.tablesEqual)
	if n := len(w.hosts[0].core.View().Nodes); n != 3 {
		t.Errorf("%d nodes known, want 3: the returned one is missing", n)
	}
}

func TestAForgottenNodeThatReturnsKnowsThatAnotherHasItsSubnet(t *testing.T) {
	w := newWorld(t, 11, 4, nil)
	w.bootInTurn(w.hosts[:3])
	h := w.hosts[2]
	before, _ := h.lease()
	h.crash()
	w.run(10 * time.Second)
	if err := w.hosts[0].forget(h.id); err != nil {
		t.Fatal(err)
	}
	w.hosts[3].config.Pin = before
	w.hosts[3].boot()
	w.runUntil(10*time.Second, "granted to another", w.hosts[3].confirmed)
	h.boot()
	w.runUntil(10*time.Second, "loss noticed", func() bool { _, lost := h.core.Lost(); return lost })
	h.do(func(now Time) { h.core.Release(now) })
	w.runUntil(10*time.Second, "leased again", h.confirmed)
	w.runUntil(20*time.Second, "tables equal", w.tablesEqual)
}

func TestWhenTheFounderLeavesTheOthersGoOnWithoutIt(t *testing.T) {
	w := newWorld(t, 12, 3, nil)
	w.hosts[0].boot()
	w.runUntil(2*time.Second, "founder confirmed", w.hosts[0].confirmed)
	w.hosts[1].boot()
	w.run(30 * time.Millisecond) // it has joined; its claim may be under way
	w.hosts[0].leave()
	w.runUntil(time.Minute, "the newcomer has a lease", w.hosts[1].confirmed)
	w.hosts[2].seeds = w.hosts[1:2]
	w.hosts[2].boot()
	w.runUntil(time.Minute, "and lets others in", w.hosts[2].confirmed)
}

func TestJoiningWithOtherNetworkParametersIsRefused(t *testing.T) {
	w := newWorld(t, 13, 2, func(i int, c *Config) {
		if i == 1 {
			c.Want.Prefix = netip.MustParsePrefix("10.77.0.0/16")
		}
	})
	w.hosts[0].boot()
	w.runUntil(2*time.Second, "founder confirmed", w.hosts[0].confirmed)
	w.hosts[1].boot()
	err := w.hosts[1].core.Merge(0, w.hosts[0].id, w.hosts[0].core.State())
	if !errors.Is(err, ErrNetworkParameters) || !strings.Contains(err.Error(), "--network 10.77.0.0/16") {
		t.Errorf("error %v does not name the flag", err)
	}
	if w.hosts[1].core.Network().Prefix.IsValid() {
		t.Error("the network was entered nevertheless")
	}
}

func TestNothingIsPromisedBeforeItIsDurable(t *testing.T) {
	w := newWorld(t, 14, 2, nil)
	w.hosts[0].boot()
	w.runUntil(2*time.Second, "founder confirmed", w.hosts[0].confirmed)
	c := w.hosts[0].core
	c.MemberUp(0, w.hosts[1].id)
	msg := simMessage(w.hosts[1].identity, c, record.MsgAsk, record.Ask{Slot: 9, Epoch: 1, Ordinal: 2})
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
	w := newWorld(t, 15, 3, nil)
	w.hosts[0].boot()
	w.runUntil(2*time.Second, "founder confirmed", w.hosts[0].confirmed)
	c := w.hosts[0].core
	c.MemberUp(0, w.hosts[1].id)
	c.MemberUp(0, w.hosts[2].id)
	verdictOf := func(from record.Identity, epoch uint64) record.Verdict {
		t.Helper()
		if err := c.Receive(0, simMessage(from, c, record.MsgAsk, record.Ask{Slot: 9, Epoch: epoch, Ordinal: 2})); err != nil {
			t.Fatal(err)
		}
		e := c.Effects()
		if e.Save != nil {
			c.Saved(0, e.Save.Token, nil)
			e.Sends = append(e.Sends, c.Effects().Sends...)
		}
		_, body, err := splitMessage(e.Sends[len(e.Sends)-1].Msg)
		if err != nil {
			t.Fatal(err)
		}
		a, err := record.DecodeBody[record.Answer](body)
		if err != nil {
			t.Fatal(err)
		}
		return a.Verdict
	}
	one, two := w.hosts[1].identity, w.hosts[2].identity
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
	if err := c.Receive(0, simMessage(one, c, record.MsgWithdraw, record.Withdraw{Slot: 9})); err != nil {
		t.Fatal(err)
	}
	if got := verdictOf(two, 2); got != record.Stale {
		t.Errorf("after the withdrawal, at the withdrawn epoch: verdict %d, want stale", got)
	}
	if got := verdictOf(two, 3); got != record.Promised {
		t.Errorf("after the withdrawal, above it: verdict %d, want promised", got)
	}
}

func TestANodeThatLeftDoesNotTakeItsLeaseBackFromWhoHasNotHeardOfIt(t *testing.T) {
	w := newWorld(t, 16, 3, nil)
	w.bootInTurn(w.hosts)
	w.links.cuts = []*cut{{blocks: func(a, b int) bool { return a != b && (a == 0 || b == 0) }}}
	w.hosts[2].leave()
	w.run(time.Second)
	w.links.cuts[0].blocks = func(a, b int) bool { return a != b && (a == 1 || b == 1) }
	w.hosts[2].boot()
	w.runUntil(30*time.Second, "leased again", w.hosts[2].confirmed)
	if l := w.hosts[2].core.Inside().Table().HeldBy(w.hosts[2].id).Rec; l.Epoch != 3 {
		t.Errorf("the new lease has epoch %d, want 3: granted anew, after the old one was freed", l.Epoch)
	}
	w.links.cuts = nil
	w.runUntil(40*time.Second, "tables equal", w.tablesEqual)
}

// Nor after a claim that a crash cut short.
func TestAFarewellIsRememberedOverAClaimThatACrashCutShort(t *testing.T) {
	w := newWorld(t, 46, 2, nil)
	w.bootInTurn(w.hosts)
	h := w.hosts[1]
	stale := h.core.Inside().Table().HeldBy(h.id).Rec
	h.leave()
	w.run(time.Second)
	h.boot()
	w.runUntil(10*time.Second, "granted again, not confirmed", func() bool {
		v, err := DecodeVault(h.disk.synced)
		return err == nil && v.Pending || h.confirmed()
	})
	v, err := DecodeVault(h.disk.synced)
	if err != nil {
		t.Fatal(err)
	}
	h.crash()
	v.Pending = true
	h.disk.vault = record.Encode(v)
	h.disk.synced = h.disk.vault
	h.boot()
	if !h.core.Inside().HandedBack(&stale) {
		t.Error("it would take up the lease that it gave up, from somebody who has not heard of that")
	}
}

func TestAPromiseThatNobodyWaitsForIsGivenBack(t *testing.T) {
	w := newWorld(t, 19, 2, nil)
	w.bootInTurn(w.hosts)
	c := w.hosts[0].core
	w.hosts[0].do(func(now Time) { // a question that its withdrawal has overtaken
		_ = c.Receive(now, simMessage(w.hosts[1].identity, c, record.MsgAsk, record.Ask{Slot: 9, Epoch: 1, Ordinal: 3}))
	})
	w.run(2 * RemindEvery)
	if p, ok := c.Inside().PromiseOf(9); !ok || !p.Claimant.IsZero() {
		t.Errorf("promise %v still stands", p)
	}
}

func TestAClaimThatLosesItsLastHolderBeginsAnew(t *testing.T) {
	w := newWorld(t, 20, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.hosts[0].crash()
	w.hosts[2].seeds = w.hosts[1:2]
	w.run(10 * time.Second)
	w.hosts[2].boot()
	w.run(2 * time.Second)
	if w.hosts[2].confirmed() {
		t.Fatal("the younger of two holders granted a lease alone")
	}
	if err := w.hosts[1].forget(w.hosts[0].id); err != nil {
		t.Fatal(err)
	}
	w.hosts[1].leave() // with the claim still waiting
	w.runUntil(time.Minute, "leased without any holder", w.hosts[2].confirmed)
}

func TestALoneNodeMovesToItsNewPin(t *testing.T) {
	w := newWorld(t, 21, 1, nil)
	h := w.hosts[0]
	h.boot()
	w.runUntil(2*time.Second, "founder confirmed", h.confirmed)
	w.run(2 * time.Second)
	h.crash()
	h.config.Pin = netip.MustParsePrefix("10.244.99.0/24")
	h.boot()
	w.runUntil(5*time.Second, "moved", h.confirmed)
	if s, _ := h.lease(); s != h.config.Pin {
		t.Errorf("holds %s, want the pin", s)
	}
}

func TestANodeThatWasAwayLearnsThatAnotherHasLeftLongAgo(t *testing.T) {
	w := newWorld(t, 22, 4, func(_ int, c *Config) { c.LeaseTTL = time.Minute })
	w.bootInTurn(w.hosts)
	w.run(5 * time.Second)
	w.hosts[3].crash()
	w.hosts[2].leave()
	w.run(3 * time.Minute)
	if n := len(w.hosts[0].core.Inside().Table().Nodes); n != 3 {
		t.Errorf("%d nodes known, want 3: one has left long ago", n)
	}
	w.hosts[3].boot()
	w.runUntil(40*time.Second, "tables equal", w.healed)
}

func TestAHolderThatSaysItIsNoneStillCountsAndIsAskedAgain(t *testing.T) {
	w := newWorld(t, 23, 4, nil)
	w.bootInTurn(w.hosts[:3])
	w.run(5 * time.Second)
	w.hosts[0].crash()
	w.hosts[1].crash()
	w.hosts[3].seeds = w.hosts[2:3]
	w.hosts[3].boot()
	w.run(3 * time.Second) // it asks, and has one answer
	h, from := w.hosts[3], w.hosts[1].id
	c := h.core
	said := record.Answer{Slot: c.Inside().Claim().Slot, Epoch: c.Inside().Claim().Epoch, Claim: c.Inside().Claim().ID, Verdict: record.NotHolder, Holders: c.Inside().HoldersHash()}
	if err := c.Receive(w.now-h.started, simMessage(w.hosts[1].identity, c, record.MsgAnswer, said)); err != nil {
		t.Fatal(err)
	}
	if n := c.Inside().Counted(); n != 3 || c.Inside().Claim().Phase != PhaseAsking {
		t.Errorf("%d electors in phase %d, want 3, and the claim going on", n, c.Inside().Claim().Phase)
	}
	c.Effects()
	c.Tick(w.now - h.started + 2*AskAgainMost)
	for _, s := range c.Effects().Sends {
		if kind, _, _ := splitMessage(s.Msg); kind == record.MsgAsk && s.To == from {
			return
		}
	}
	t.Error("it is not asked again")
}

// A newcomer has yet to hear of who is alive: nobody is dead because of that.
func TestANewcomerWaitsForHoldersItHasNotHeardOf(t *testing.T) {
	w := newWorld(t, 33, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.run(2 * time.Second)
	h := w.hosts[2]
	h.config.Rand = w.rand
	c, err := New(h.config, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	founder, younger := w.hosts[0], w.hosts[1]
	c.Start(0)
	c.Saved(0, c.Effects().Save.Token, nil)
	c.MemberUp(0, founder.id) // and of the younger holder it hears a little later
	if err := c.Merge(0, founder.id, founder.core.State()); err != nil {
		t.Fatal(err)
	}
	c.Joined(0)
	c.Approve(0)
	c.Tick(0)
	if c.Inside().Claim().Phase != PhaseAsking {
		t.Fatalf("phase %d", c.Inside().Claim().Phase)
	}
	c.Inside().Votes()[founder.id] = record.Promised
	c.Inside().Decide()
	if c.Inside().Claim().Phase != PhaseAsking {
		t.Fatal("it does not wait for a holder that it has not heard of yet")
	}
	c.MemberUp(0, younger.id)
	c.MemberDown(0, younger.id)
	c.Inside().Decide()
	if c.Inside().Claim().Phase != PhaseSaving {
		t.Error("it waits for a holder that is known to be dead")
	}
}

// Who leaves and comes back at once finds others that have not missed its earlier
// start yet: to them nothing changes but what its record says.
func TestWhoComesBackAtOnceIsSaidToBeAliveAgain(t *testing.T) {
	w := newWorld(t, 3, 2, nil)
	w.bootInTurn(w.hosts)
	c, guest := w.hosts[0].core, w.hosts[1].id
	w.runUntil(20*time.Second, "the guest is up", func() bool { return c.Inside().Up(guest) && c.Inside().Table().Nodes[guest] != nil })
	hear := func(left bool) (said []string) {
		r := c.Inside().Table().Nodes[guest]
		r.Rec.Left = left
		c.Inside().OnNode(&r.Rec)
		c.MemberSuspect(c.Inside().Now(), guest, true) // nobody asks an earlier start for long
		c.MemberSuspect(c.Inside().Now(), guest, false)
		for _, l := range c.Effects().Log {
			said = append(said, l.Text)
		}
		return said
	}
	for range 2 {
		if said := hear(true); !slices.Equal(said, []string{"node has left"}) {
			t.Errorf("of a farewell it says %q", said)
		}
		if said := hear(false); !slices.Equal(said, []string{"node is alive"}) {
			t.Errorf("of the next start it says %q", said)
		}
	}
}
