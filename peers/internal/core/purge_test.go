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

// A full table of forgotten nodes takes another one, and says so where it
// cannot.
func TestAFullTableOfForgottenNodesMakesRoom(t *testing.T) {
	w := sim.New(t, 71, 3, nil)
	w.BootInTurn(w.Hosts)
	w.Hosts[2].Crash()
	w.Run(20 * time.Second)
	c := w.Hosts[0].Core
	for n := range record.MaxForgets {
		c.Inside().Table().Forgets[sim.Key(n).ID()] = &record.Stored[record.ForgetRecord]{Rec: record.ForgetRecord{Node: sim.Key(n).ID()}, Raw: []byte{byte(n), byte(n >> 8)}, Since: core.Time(n)}
	}
	if err := w.Hosts[0].Forget(w.Hosts[2].ID); err != nil {
		t.Fatal(err)
	}
	if len(c.Inside().Table().Forgets) > record.MaxForgets || c.Inside().Table().Forgets[w.Hosts[2].ID] == nil || c.Inside().Table().HeldBy(w.Hosts[2].ID) != nil {
		t.Errorf("%d forgotten, the last one %v, its lease %v", len(c.Inside().Table().Forgets), c.Inside().Table().Forgets[w.Hosts[2].ID] != nil, c.Inside().Table().HeldBy(w.Hosts[2].ID))
	}
	if c.Inside().Table().Forgets[sim.Key(0).ID()] != nil {
		t.Error("it is not the oldest that made room")
	}
}

func TestANodeWithoutALeaseCannotForget(t *testing.T) {
	w := sim.New(t, 72, 3, nil)
	w.BootInTurn(w.Hosts[:2])
	w.Hosts[0].Crash()
	w.Run(20 * time.Second)
	w.Hosts[2].Seeds = w.Hosts[1:2]
	w.Hosts[2].Boot()
	w.Run(5 * time.Second)
	if err := w.Hosts[2].Forget(w.Hosts[0].ID); !errors.Is(err, core.ErrForgetNoLease) {
		t.Errorf("error %v", err)
	}
}
