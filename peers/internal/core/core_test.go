// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
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
			if n.Self && n.Lease.Electors != i+1 {
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
	w.RunUntil(5*time.Second, "loss noticed", w.Hosts[2].Core.Lost)
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
