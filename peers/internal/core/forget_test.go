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
	w.RunUntil(10*time.Second, "loss noticed", h.Core.Lost)
	h.Do(func(now core.Time) { h.Core.Release(now) })
	w.RunUntil(10*time.Second, "leased again", h.Confirmed)
	w.RunUntil(20*time.Second, "tables equal", w.TablesEqual)
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
