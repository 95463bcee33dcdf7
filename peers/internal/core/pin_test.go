// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/core/sim"
)

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

// The first subnet is not handed out, and a pin may hold it: Kubernetes gives
// it to the first node.
func TestTheFirstSubnetIsHeldByAPinOnly(t *testing.T) {
	first := netip.MustParsePrefix("10.244.0.0/24")
	for pinned := range 2 { // the founder, or a guest
		w := sim.New(t, 31+uint64(pinned), 4, func(i int, c *core.Config) {
			if i == pinned || i == 3 {
				c.Pin = first
			}
		})
		w.BootInTurn(w.Hosts[:3])
		h := w.Hosts[pinned]
		if s, ok := h.Lease(); !ok || s != first {
			t.Fatalf("lease is %s, want the pin %s", s, first)
		}
		w.Hosts[3].Boot()
		w.RunUntil(5*time.Second, "refused", func() bool { return w.Hosts[3].Fatal != nil })
		if err := w.Hosts[3].Fatal; !errors.Is(err, core.ErrSubnetHeld) {
			t.Errorf("a second node with that pin: %v", err)
		}
		h.Crash()
		h.Config.Pin = netip.Prefix{} // nothing says so at this start
		h.Boot()
		w.RunUntil(2*time.Second, "confirmed from disk", h.Confirmed)
		if s, _ := h.Lease(); s != first {
			t.Errorf("after a restart without the pin: %s", s)
		}
		w.RunUntil(10*time.Second, "tables equal", w.TablesEqual)
	}
}

// An authority gives a pin to one node at a time. The node before is dead, and
// its lease ends with the lease TTL.
func TestAPinIsWaitedForWhereAnAuthorityGivesIt(t *testing.T) {
	pin := netip.MustParsePrefix("10.244.77.0/24")
	w := sim.New(t, 41, 4, func(i int, c *core.Config) {
		c.LeaseTTL = time.Minute
		if i > 1 {
			c.Pin, c.PinWaits = pin, true
		}
	})
	w.BootInTurn(w.Hosts[:3])
	w.Hosts[3].Boot()
	w.Run(5 * time.Second)
	if h := w.Hosts[3]; h.Fatal != nil || h.Confirmed() {
		t.Fatalf("fatal: %v, confirmed: %t", h.Fatal, h.Confirmed())
	}
	if text := w.Hosts[3].Core.View().Waiting; !strings.Contains(text, "--subnet 10.244.77.0/24 is held by node host2") {
		t.Errorf("it waits for %q", text)
	}
	w.Hosts[2].Crash()
	w.RunUntil(2*time.Minute, "the pin is held by the next node", w.Hosts[3].Confirmed)
	if s, _ := w.Hosts[3].Lease(); s != pin {
		t.Errorf("lease is %s", s)
	}
}
