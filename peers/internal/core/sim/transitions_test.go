// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// until runs the world in small steps until a host's claim is in a phase.
func until(w *World, h *Host, p core.Phase) error {
	for end := w.Now + time.Minute; h.Core == nil || h.Core.Inside().Claim().Phase != p; w.Run(20 * time.Microsecond) {
		if w.Now > end {
			return fmt.Errorf("no phase %q within a minute", p)
		}
	}
	return nil
}

// overrule has a host take in, as if it were true, that another node holds the
// slot of its claim.
func overrule(h *Host) error {
	k, inside := h.Core.Inside().Claim(), h.Core.Inside()
	inside.SetGate(nil)
	defer inside.SetGate(inside.Judge())
	other := Identity(900)
	rec := record.LeaseRecord{Slot: k.Slot, Epoch: k.Epoch + 1, Holder: other.ID(), Ordinal: 1, Key: other.Public()}
	raw := other.Seal(Checksum{}, inside.Table().NetID, record.KindLease, rec)
	var err error
	h.Do(func(now core.Time) { err = h.Core.Receive(now, record.EncodeRumor(raw)) })
	return err
}

// overruledIn has a newcomer's lease, or a founder's, overruled in a phase.
func overruledIn(p core.Phase, adopts bool) func(w *World) error {
	return func(w *World) error {
		w.BootInTurn(w.Hosts[:2])
		h := w.Hosts[2]
		if adopts { // the network remembers its lease, and its disk does not
			w.BootInTurn(w.Hosts[2:3])
			w.Run(5 * time.Second)
			h.Crash()
			h.LoseDurable()
		}
		h.Boot()
		if err := until(w, h, p); err != nil {
			return err
		}
		return overrule(h)
	}
}

// leavesIn has a newcomer leave in a phase of its claim.
func leavesIn(p core.Phase) func(w *World) error {
	return func(w *World) error {
		w.BootInTurn(w.Hosts[:2])
		w.Hosts[2].Boot()
		if err := until(w, w.Hosts[2], p); err != nil {
			return err
		}
		w.Hosts[2].depart()
		return nil
	}
}

// lostAtStart has a host start with the lease of its last start, which is
// another node's in the table by now.
func lostAtStart(w *World) error {
	w.BootInTurn(w.Hosts[:3])
	h := w.Hosts[2]
	subnet, _ := h.Lease()
	h.Crash()
	w.Run(20 * time.Second)
	if err := w.Hosts[0].Forget(h.ID); err != nil {
		return err
	}
	w.Hosts[3].Config.Pin = subnet
	w.BootInTurn(w.Hosts[3:])
	h.Disk.Table = w.Hosts[3].Core.State()
	h.Disown()
	h.Boot()
	return nil
}

// Every transition that the core names is taken in some run, so that its table
// has no row too many. The rare ones have schedules of their own.
func TestEveryTransitionOfAClaimIsTaken(t *testing.T) {
	var all Steps
	for name, play := range map[string]func(*World) error{
		"overruled while a remembered lease is written": overruledIn(core.PhaseSaving, true),
		"overruled while announcing":                    overruledIn(core.PhaseAnnouncing, false),
		"overruled while keeping":                       overruledIn(core.PhaseKeeping, false),
		"overruled when confirmed":                      overruledIn(core.PhaseConfirmed, false),
		"leaves while saving":                           leavesIn(core.PhaseSaving),
		"leaves while announcing":                       leavesIn(core.PhaseAnnouncing),
		"leaves while keeping":                          leavesIn(core.PhaseKeeping),
		"lost at the start":                             lostAtStart,
	} {
		w := New(t, 80, 4, nil)
		w.checks.excuses("records are forged")
		if err := play(w); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.Run(10 * time.Second)
		all.add(&w.steps)
	}
	missing := func() (rows []core.Transition) {
		for _, row := range core.Transitions {
			if all[row.From][row.To] == 0 {
				rows = append(rows, row)
			}
		}
		return rows
	}
	const within = 500
	seed := uint64(1)
	for ; seed <= within && len(missing()) > 0; seed++ {
		r := Play(seed, 0, nil)
		if all.add(&r.Steps); r.Broken != "" {
			t.Fatalf("seed %d: %s", seed, r.Broken)
		}
	}
	for _, row := range missing() {
		t.Errorf("from %s to %s (%s): not taken in %d schedules", row.From, row.To, row.When, within)
	}
	t.Logf("all %d transitions are taken, with %d schedules drawn from a seed", len(core.Transitions), seed-1)
}

// A transition that the core does not name breaks a run.
func TestATransitionThatIsNotNamedIsFound(t *testing.T) {
	w := New(nil, 81, 1, nil)
	if w.step(w.Hosts[0], core.PhaseNone, core.PhaseAsking); w.broken != "" {
		t.Errorf("a transition that is named breaks the run: %s", w.broken)
	}
	if w.step(w.Hosts[0], core.PhaseAsking, core.PhaseConfirmed); w.broken == "" {
		t.Error("a claim may be confirmed without being granted")
	}
}
