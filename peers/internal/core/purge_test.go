package core

import (
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

// A full table of forgotten nodes takes another one, and says so where it cannot.
func TestAFullTableOfForgottenNodesMakesRoom(t *testing.T) {
	w := newWorld(t, 71, 3, nil)
	w.bootInTurn(w.hosts)
	w.hosts[2].crash()
	w.run(20 * time.Second)
	c := w.hosts[0].core
	for n := range record.MaxForgets {
		c.Inside().Table().Forgets[simKey(n).ID()] = &record.Stored[record.ForgetRecord]{Rec: record.ForgetRecord{Node: simKey(n).ID()}, Raw: []byte{byte(n), byte(n >> 8)}, Since: Time(n)}
	}
	if err := w.hosts[0].forget(w.hosts[2].id); err != nil {
		t.Fatal(err)
	}
	if len(c.Inside().Table().Forgets) > record.MaxForgets || c.Inside().Table().Forgets[w.hosts[2].id] == nil || c.Inside().Table().HeldBy(w.hosts[2].id) != nil {
		t.Errorf("%d forgotten, the last one %v, its lease %v", len(c.Inside().Table().Forgets), c.Inside().Table().Forgets[w.hosts[2].id] != nil, c.Inside().Table().HeldBy(w.hosts[2].id))
	}
	if c.Inside().Table().Forgets[simKey(0).ID()] != nil {
		t.Error("it is not the oldest that made room")
	}
}

func TestANodeWithoutALeaseCannotForget(t *testing.T) {
	w := newWorld(t, 72, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.hosts[0].crash()
	w.run(20 * time.Second)
	w.hosts[2].seeds = w.hosts[1:2]
	w.hosts[2].boot()
	w.run(5 * time.Second)
	if err := w.hosts[2].forget(w.hosts[0].id); err != ErrForgetNoLease {
		t.Errorf("error %v", err)
	}
}
