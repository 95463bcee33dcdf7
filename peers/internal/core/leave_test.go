// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"slices"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
	"flanneld/peers/internal/record"
)

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

// A node that leaves while it writes a lease that the network remembers gives
// it back, and loses it to no node.
func TestLeavingWhileARememberedLeaseIsWrittenLosesNothing(t *testing.T) {
	w := sim.New(t, 19, 3, nil)
	w.BootInTurn(w.Hosts)
	w.RunUntil(10*time.Second, "tables equal", w.TablesEqual)
	h := w.Hosts[1]
	h.Crash()
	h.LoseDurable()
	h.Boot()
	for h.Core == nil || h.Core.Inside().Claim().Phase != core.PhaseSaving {
		if w.Run(50 * time.Microsecond); h.Confirmed() {
			t.Fatal("never saw it write the lease")
		}
	}
	h.Do(h.Core.Leave)
	w.Run(time.Second)
	if phase := h.Core.Inside().Claim().Phase; phase != core.PhaseNone {
		t.Errorf("after it has left, its lease is %s", phase)
	}
}
