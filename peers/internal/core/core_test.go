package core_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

func TestTheFounderConfirmsItsOwnLeaseAndOthersAreGrantedTheirs(t *testing.T) {
	w := sim.New(t, 1, 5, nil)
	w.BootInTurn(w.Hosts)
	for i, h := range w.Hosts[1:] {
		v := h.Core.View()
		for _, n := range v.Nodes {
			if n.Self && int(n.Lease.Electors) != i+1 {
				t.Errorf("host %d was granted its lease by %d electors, want %d", h.Index, n.Lease.Electors, i+1)
			}
		}
	}
	w.RunUntil(20*time.Second, "tables equal", w.TablesEqual)
}

func TestManyClaimsAtOnceNeverOverlap(t *testing.T) {
	for seed := range uint64(40) {
		w := sim.New(t, seed, 13, nil)
		w.Links.Loss, w.Links.Double, w.Links.Base = 0.05, 0.1, 40*time.Millisecond
		w.Hosts[0].Boot()
		w.RunUntil(5*time.Second, "founder confirmed", w.Hosts[0].Confirmed)
		for _, h := range w.Hosts[1:] {
			h.Boot()
		}
		w.RunUntil(time.Minute, "all confirmed", func() bool { return w.ConfirmedHosts() == 13 })
		w.RunUntil(time.Minute, "tables equal", w.TablesEqual)
	}
}

func TestTheLastSlotsAreHandedOutWithoutOverlapAndTheRestWaits(t *testing.T) {
	small := func(_ int, c *core.Config) {
		if c.MayFound {
			c.Want = record.Network{Prefix: netip.MustParsePrefix("10.9.0.0/24"), SubnetLen: 27} // 7 slots
		}
	}
	for seed := range uint64(20) {
		w := sim.New(t, seed, 10, small)
		w.Links.Loss, w.Links.Base = 0.02, 20*time.Millisecond
		w.Hosts[0].Boot()
		w.RunUntil(5*time.Second, "founder confirmed", w.Hosts[0].Confirmed)
		for _, h := range w.Hosts[1:] {
			h.Boot()
		}
		w.RunUntil(2*time.Minute, "7 confirmed", func() bool { return w.ConfirmedHosts() == 7 })
		w.Run(10 * time.Second)
		waiting := 0
		for _, h := range w.Hosts {
			if strings.Contains(h.Core.View().Waiting, "no free subnet: 7 subnets, 7 held by live nodes") {
				waiting++
			}
		}
		if waiting != 3 {
			t.Fatalf("seed %d: %d hosts say that no subnet is free, want 3\n%s", seed, waiting, w.Dump())
		}
		// One leaves: another node gets its subnet.
		w.Hosts[0].Leave()
		w.RunUntil(time.Minute, "7 confirmed again", func() bool { return w.ConfirmedHosts() == 7 })
	}
}

func TestTheSmallerPartHandsOutNothingAndHealsByItself(t *testing.T) {
	w := sim.New(t, 7, 6, nil)
	w.BootInTurn(w.Hosts[:5])
	w.Links.Cuts = []*sim.Cut{{Blocks: func(a, b int) bool { return (a < 2 || a == 5) != (b < 2 || b == 5) }}}
	part := []*sim.Host{w.Hosts[0], w.Hosts[1], w.Hosts[5]}
	w.Hosts[5].Boot() // joins the smaller part: hosts 0 and 1 of 5 holders
	w.Run(10 * time.Second)
	if w.Hosts[5].Confirmed() {
		t.Fatal("a lease was confirmed by 2 of 5 holders")
	}
	waiting := w.Hosts[5].Core.View().Waiting
	if !strings.Contains(waiting, "2 of the 5 lease holders promised") || !strings.Contains(waiting, "3 are needed") {
		t.Errorf("waiting line %q does not say which node is missing", waiting)
	}
	for _, h := range part {
		if h.Index != 5 && !h.Confirmed() {
			t.Errorf("host %d lost its lease in the cut", h.Index)
		}
	}
	w.Links.Cuts = nil
	w.RunUntil(10*time.Second, "confirmed after the cut", w.Hosts[5].Confirmed)
}

func TestOfTwoNodesTheOlderLetsANewcomerInWithoutTheYounger(t *testing.T) {
	w := sim.New(t, 3, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	w.Hosts[1].Crash()
	w.Run(10 * time.Second)
	w.Hosts[2].Boot()
	w.RunUntil(5*time.Second, "newcomer confirmed by the older node", w.Hosts[2].Confirmed)
}

func TestOfTwoNodesTheYoungerAloneLetsNobodyIn(t *testing.T) {
	w := sim.New(t, 3, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	w.Hosts[0].Crash()
	w.Run(10 * time.Second)
	w.Hosts[2].Seeds = w.Hosts[1:2]
	w.Hosts[2].Boot()
	w.Run(30 * time.Second)
	if w.Hosts[2].Confirmed() {
		t.Fatal("the younger of two holders confirmed a lease alone")
	}
	if err := w.Hosts[1].Forget(w.Hosts[0].ID); err != nil {
		t.Fatal(err)
	}
	w.RunUntil(10*time.Second, "confirmed after the dead node was forgotten", w.Hosts[2].Confirmed)
}

func TestAPinIsHeldOrRefusedWithTheHoldersName(t *testing.T) {
	pin := netip.MustParsePrefix("10.244.77.0/24")
	w := sim.New(t, 4, 3, func(i int, c *core.Config) {
		if i > 0 {
			c.Pin = pin
		}
	})
	w.Hosts[0].Boot()
	w.RunUntil(2*time.Second, "founder confirmed", w.Hosts[0].Confirmed)
	w.Hosts[1].Boot()
	w.RunUntil(5*time.Second, "pinned lease confirmed", w.Hosts[1].Confirmed)
	if s, _ := w.Hosts[1].Lease(); s != pin {
		t.Fatalf("lease is %s, want the pin %s", s, pin)
	}
	w.Hosts[2].Boot()
	w.RunUntil(5*time.Second, "refused", func() bool { return w.Hosts[2].Fatal != nil })
	if err := w.Hosts[2].Fatal; !errors.Is(err, core.ErrSubnetHeld) || !strings.Contains(err.Error(), "host1") {
		t.Errorf("error %q does not name the holder", err)
	}
}

func TestANodeMovesToItsNewPinAndFreesWhatItHeld(t *testing.T) {
	w := sim.New(t, 5, 3, nil)
	w.BootInTurn(w.Hosts)
	w.Hosts[2].Crash()
	pin := netip.MustParsePrefix("10.244.99.0/24")
	w.Hosts[2].Config.Pin = pin
	w.Hosts[2].Boot()
	w.RunUntil(5*time.Second, "moved", func() bool { s, ok := w.Hosts[2].Lease(); return ok && s == pin })
	w.RunUntil(10*time.Second, "tables equal", w.TablesEqual)
	held := 0
	for _, l := range w.Hosts[0].Core.Inside().Table().Leases {
		if l.Rec.Holder == w.Hosts[2].Identity.ID() {
			held++
		}
	}
	if held != 1 {
		t.Errorf("the moved node holds %d subnets, want 1", held)
	}
}

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

func TestADeadNodesSubnetIsClaimedOnlyAfterTheLeaseTTL(t *testing.T) {
	ttl := 10 * time.Minute
	tiny := func(_ int, c *core.Config) {
		c.LeaseTTL = ttl
		if c.MayFound {
			c.Want = record.Network{Prefix: netip.MustParsePrefix("10.9.0.0/26"), SubnetLen: 28} // 3 slots
		}
	}
	w := sim.New(t, 6, 4, tiny)
	w.BootInTurn(w.Hosts[:3])
	dead, _ := w.Hosts[2].Lease()
	w.Hosts[2].Crash()
	w.Hosts[3].Boot()
	w.Run(ttl - 30*time.Second)
	if w.Hosts[3].Confirmed() {
		t.Fatal("a dead node's subnet was claimed before the lease TTL had passed")
	}
	w.RunUntil(2*time.Minute, "reclaimed", w.Hosts[3].Confirmed)
	if s, _ := w.Hosts[3].Lease(); s != dead {
		t.Fatalf("reclaimed %s, want %s", s, dead)
	}
	w.Hosts[2].Boot() // it comes back: its lease is another's now
	w.RunUntil(5*time.Second, "loss noticed", func() bool { _, lost := w.Hosts[2].Core.Lost(); return lost })
}

func TestAConfirmedLeaseIsBackAtOnceWithNobodyThere(t *testing.T) {
	w := sim.New(t, 8, 3, nil)
	w.BootInTurn(w.Hosts)
	before, _ := w.Hosts[2].Lease()
	w.Run(5 * time.Second)
	for _, h := range w.Hosts {
		h.Crash()
	}
	w.Hosts[2].Boot()
	w.Run(50 * time.Millisecond) // a disk write
	if after, ok := w.Hosts[2].Lease(); !ok || after != before {
		t.Fatalf("lease after the restart is %v, want %v at once", after, before)
	}
	if n := len(w.Hosts[2].Core.View().Nodes); n != 3 {
		t.Errorf("%d nodes are remembered, want 3", n)
	}
}

func TestForgetRefusesTheLivingTheUnknownAndItself(t *testing.T) {
	w := sim.New(t, 10, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	c := w.Hosts[0].Core
	c.MemberUp(0, sim.Identity(77).ID())
	c.MemberSuspect(0, sim.Identity(77).ID(), true)
	for id, want := range map[record.NodeID]error{
		w.Hosts[0].Identity.ID(): core.ErrForgetSelf,
		w.Hosts[1].Identity.ID(): core.ErrForgetAlive,
		w.Hosts[2].Identity.ID(): core.ErrForgetUnknown,
		sim.Identity(77).ID():    core.ErrForgetSuspect,
	} {
		if err := c.Forget(0, id); !errors.Is(err, want) {
			t.Errorf("Forget(%s) = %v, want %v", id.Short(), err, want)
		}
	}
}

func TestAForgottenNodeThatReturnsKeepsItsSubnetWhileNoOtherNodeHasIt(t *testing.T) {
	w := sim.New(t, 11, 3, nil)
	w.BootInTurn(w.Hosts)
	h := w.Hosts[2]
	before, _ := h.Lease()
	h.Crash()
	w.Run(10 * time.Second)
	if err := w.Hosts[0].Forget(h.ID); err != nil {
		t.Fatal(err)
	}
	w.Run(time.Second)
	h.Boot()
	w.RunUntil(5*time.Second, "the slot is granted again", func() bool {
		l := w.Hosts[0].Core.Inside().Table().HeldBy(h.ID)
		return l != nil && h.Confirmed()
	})
	if after, ok := h.Lease(); !ok || after != before {
		t.Errorf("holds %s %v, had %s", after, ok, before)
	}
	w.RunUntil(20*time.Second, "tables equal", w.TablesEqual)
	if n := len(w.Hosts[0].Core.View().Nodes); n != 3 {
		t.Errorf("%d nodes known, want 3: the returned one is missing", n)
	}
}

func TestAForgottenNodeThatReturnsKnowsThatAnotherHasItsSubnet(t *testing.T) {
	w := sim.New(t, 11, 4, nil)
	w.BootInTurn(w.Hosts[:3])
	h := w.Hosts[2]
	before, _ := h.Lease()
	h.Crash()
	w.Run(10 * time.Second)
	if err := w.Hosts[0].Forget(h.ID); err != nil {
		t.Fatal(err)
	}
	w.Hosts[3].Config.Pin = before
	w.Hosts[3].Boot()
	w.RunUntil(10*time.Second, "granted to another", w.Hosts[3].Confirmed)
	h.Boot()
	w.RunUntil(10*time.Second, "loss noticed", func() bool { _, lost := h.Core.Lost(); return lost })
	h.Do(func(now core.Time) { h.Core.Release(now) })
	w.RunUntil(10*time.Second, "leased again", h.Confirmed)
	w.RunUntil(20*time.Second, "tables equal", w.TablesEqual)
}

func TestWhenTheFounderLeavesTheOthersGoOnWithoutIt(t *testing.T) {
	w := sim.New(t, 12, 3, nil)
	w.Hosts[0].Boot()
	w.RunUntil(2*time.Second, "founder confirmed", w.Hosts[0].Confirmed)
	w.Hosts[1].Boot()
	w.Run(30 * time.Millisecond) // it has joined; its claim may be under way
	w.Hosts[0].Leave()
	w.RunUntil(time.Minute, "the newcomer has a lease", w.Hosts[1].Confirmed)
	w.Hosts[2].Seeds = w.Hosts[1:2]
	w.Hosts[2].Boot()
	w.RunUntil(time.Minute, "and lets others in", w.Hosts[2].Confirmed)
}

func TestJoiningWithOtherNetworkParametersIsRefused(t *testing.T) {
	w := sim.New(t, 13, 2, func(i int, c *core.Config) {
		if i == 1 {
			c.Want.Prefix = netip.MustParsePrefix("10.77.0.0/16")
		}
	})
	w.Hosts[0].Boot()
	w.RunUntil(2*time.Second, "founder confirmed", w.Hosts[0].Confirmed)
	w.Hosts[1].Boot()
	err := w.Hosts[1].Core.Merge(0, w.Hosts[0].ID, w.Hosts[0].Core.State())
	if !errors.Is(err, core.ErrNetworkParameters) || !strings.Contains(err.Error(), "--network 10.77.0.0/16") {
		t.Errorf("error %v does not name the flag", err)
	}
	if w.Hosts[1].Core.Network().Prefix.IsValid() {
		t.Error("the network was entered nevertheless")
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

func TestANodeThatLeftDoesNotTakeItsLeaseBackFromWhoHasNotHeardOfIt(t *testing.T) {
	w := sim.New(t, 16, 3, nil)
	w.BootInTurn(w.Hosts)
	w.Links.Cuts = []*sim.Cut{{Blocks: func(a, b int) bool { return a != b && (a == 0 || b == 0) }}}
	w.Hosts[2].Leave()
	w.Run(time.Second)
	w.Links.Cuts[0].Blocks = func(a, b int) bool { return a != b && (a == 1 || b == 1) }
	w.Hosts[2].Boot()
	w.RunUntil(30*time.Second, "leased again", w.Hosts[2].Confirmed)
	if l := w.Hosts[2].Core.Inside().Table().HeldBy(w.Hosts[2].ID).Rec; l.Epoch != 3 {
		t.Errorf("the new lease has epoch %d, want 3: granted anew, after the old one was freed", l.Epoch)
	}
	w.Links.Cuts = nil
	w.RunUntil(40*time.Second, "tables equal", w.TablesEqual)
}

// Nor after a claim that a crash cut short.
func TestAFarewellIsRememberedOverAClaimThatACrashCutShort(t *testing.T) {
	w := sim.New(t, 46, 2, nil)
	w.BootInTurn(w.Hosts)
	h := w.Hosts[1]
	stale := h.Core.Inside().Table().HeldBy(h.ID).Rec
	h.Leave()
	w.Run(time.Second)
	h.Boot()
	w.RunUntil(10*time.Second, "granted again, not confirmed", func() bool {
		v, err := core.DecodeDurable(h.Disk.Synced)
		return err == nil && v.Pending || h.Confirmed()
	})
	v, err := core.DecodeDurable(h.Disk.Synced)
	if err != nil {
		t.Fatal(err)
	}
	h.Crash()
	v.Pending = true
	h.Disk.Durable = record.Encode(v)
	h.Disk.Synced = h.Disk.Durable
	h.Boot()
	if !h.Core.Inside().HandedBack(&stale) {
		t.Error("it would take up the lease that it gave up, from a node that has not heard of that")
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

func TestAClaimThatLosesItsLastHolderBeginsAnew(t *testing.T) {
	w := sim.New(t, 20, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	w.Hosts[0].Crash()
	w.Hosts[2].Seeds = w.Hosts[1:2]
	w.Run(10 * time.Second)
	w.Hosts[2].Boot()
	w.Run(2 * time.Second)
	if w.Hosts[2].Confirmed() {
		t.Fatal("the younger of two holders granted a lease alone")
	}
	if err := w.Hosts[1].Forget(w.Hosts[0].ID); err != nil {
		t.Fatal(err)
	}
	w.Hosts[1].Leave() // with the claim still waiting
	w.RunUntil(time.Minute, "leased without any holder", w.Hosts[2].Confirmed)
}

func TestALoneNodeMovesToItsNewPin(t *testing.T) {
	w := sim.New(t, 21, 1, nil)
	h := w.Hosts[0]
	h.Boot()
	w.RunUntil(2*time.Second, "founder confirmed", h.Confirmed)
	w.Run(2 * time.Second)
	h.Crash()
	h.Config.Pin = netip.MustParsePrefix("10.244.99.0/24")
	h.Boot()
	w.RunUntil(5*time.Second, "moved", h.Confirmed)
	if s, _ := h.Lease(); s != h.Config.Pin {
		t.Errorf("holds %s, want the pin", s)
	}
}

func TestANodeThatWasAwayLearnsThatAnotherHasLeftLongAgo(t *testing.T) {
	w := sim.New(t, 22, 4, func(_ int, c *core.Config) { c.LeaseTTL = time.Minute })
	w.BootInTurn(w.Hosts)
	w.Run(5 * time.Second)
	w.Hosts[3].Crash()
	w.Hosts[2].Leave()
	w.Run(3 * time.Minute)
	if n := len(w.Hosts[0].Core.Inside().Table().Nodes); n != 3 {
		t.Errorf("%d nodes known, want 3: one has left long ago", n)
	}
	w.Hosts[3].Boot()
	w.RunUntil(40*time.Second, "tables equal", w.Healed)
}

func TestAHolderThatSaysItIsNoneStillCountsAndIsAskedAgain(t *testing.T) {
	w := sim.New(t, 23, 4, nil)
	w.BootInTurn(w.Hosts[:3])
	w.Run(5 * time.Second)
	w.Hosts[0].Crash()
	w.Hosts[1].Crash()
	w.Hosts[3].Seeds = w.Hosts[2:3]
	w.Hosts[3].Boot()
	w.Run(3 * time.Second) // it asks, and has one answer
	h, from := w.Hosts[3], w.Hosts[1].ID
	c := h.Core
	said := record.Answer{Slot: c.Inside().Claim().Slot, Epoch: c.Inside().Claim().Epoch, Claim: c.Inside().Claim().ID, Verdict: record.NotHolder, Holders: c.Inside().HoldersHash()}
	if err := c.Receive(h.Clock(), sim.MessageFrom(w.Hosts[1].Identity, c, record.MsgAnswer, said)); err != nil {
		t.Fatal(err)
	}
	if n := c.Inside().Counted(); n != 3 || c.Inside().Claim().Phase != core.PhaseAsking {
		t.Errorf("%d electors in phase %d, want 3, and the claim going on", n, c.Inside().Claim().Phase)
	}
	c.Effects()
	c.Tick(h.Clock() + 2*core.AskAgainMost)
	for _, s := range c.Effects().Sends {
		if kind, _, _ := sim.Split(s.Msg); kind == record.MsgAsk && s.To == from {
			return
		}
	}
	t.Error("it is not asked again")
}

// A newcomer has yet to hear which nodes are alive. No node is dead because of
// that.
func TestANewcomerWaitsForHoldersItHasNotHeardOf(t *testing.T) {
	w := sim.New(t, 33, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	w.Run(2 * time.Second)
	h := w.Hosts[2]
	h.Config.Rand = rand.New(rand.NewPCG(33, 1))
	c, err := core.New(h.Config, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	founder, younger := w.Hosts[0], w.Hosts[1]
	c.Start(0)
	c.Saved(0, c.Effects().Save.Token, nil)
	c.MemberUp(0, founder.ID) // and of the younger holder it hears a little later
	if err := c.Merge(0, founder.ID, founder.Core.State()); err != nil {
		t.Fatal(err)
	}
	c.Joined(0)
	c.Approve(0)
	c.Tick(0)
	if c.Inside().Claim().Phase != core.PhaseAsking {
		t.Fatalf("phase %d", c.Inside().Claim().Phase)
	}
	c.Inside().Votes()[founder.ID] = record.Promised
	c.Inside().Decide()
	if c.Inside().Claim().Phase != core.PhaseAsking {
		t.Fatal("it does not wait for a holder that it has not heard of yet")
	}
	c.MemberUp(0, younger.ID)
	c.MemberDown(0, younger.ID)
	c.Inside().Decide()
	if c.Inside().Claim().Phase != core.PhaseSaving {
		t.Error("it waits for a holder that is known to be dead")
	}
}

// A node that leaves and comes back at once finds others that have not missed
// its earlier start yet. To them only its record changes.
func TestWhoComesBackAtOnceIsSaidToBeAliveAgain(t *testing.T) {
	w := sim.New(t, 3, 2, nil)
	w.BootInTurn(w.Hosts)
	c, guest := w.Hosts[0].Core, w.Hosts[1].ID
	w.RunUntil(20*time.Second, "the guest is up", func() bool { return c.Inside().Up(guest) && c.Inside().Table().Nodes[guest] != nil })
	hear := func(left bool) (said []string) {
		r := c.Inside().Table().Nodes[guest]
		r.Rec.Left = left
		c.Inside().OnNode(&r.Rec)
		c.MemberSuspect(c.Inside().Now(), guest, true) // an earlier start is not asked for long
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
