// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"testing"
	"time"

	"flanneld/peers/internal/gossip/wire"
)

func TestNewcomerOfTwoDuplicatesStops(t *testing.T) {
	settled, fresh := wire.Meta{Settled: true, Instance: 1}, wire.Meta{Instance: 2}
	for _, c := range []struct {
		what  string
		ours  wire.Meta
		start uint64
		other wire.Proof
		stop  bool
	}{
		{"settled against a newcomer", settled, 1, wire.Proof{Start: 9, Instance: 2}, false},
		{"newcomer against a settled one", fresh, 9, wire.Proof{Start: 1, Settled: true}, true},
		{"newcomer against one that still looks", fresh, 1, wire.Proof{Start: 9, Looking: true, Instance: 3}, false},
		{"both settled", settled, 1, wire.Proof{Start: 2, Settled: true}, false},
		{"newcomers, ours the earlier start", fresh, 3, wire.Proof{Start: 4, Instance: 1}, true},
		{"newcomers, ours the later start", fresh, 4, wire.Proof{Start: 3, Instance: 9}, false},
		{"newcomers of the same start, lower instance", fresh, 4, wire.Proof{Start: 4, Instance: 3}, true},
		{"newcomers of the same start, higher instance", fresh, 4, wire.Proof{Start: 4, Instance: 1}, false},
	} {
		if got := mustStop(c.ours, c.start, c.other); got != c.stop {
			t.Errorf("%s: stop %v", c.what, got)
		}
	}
}

// What a third node says of a duplicate may be old: that it still looks, long
// after it has settled. Its own proof decides.
func TestDuplicateIsJudgedByWhatItProves(t *testing.T) {
	t.Parallel()
	one, two := testGossip(t, identityOf(1)), testGossip(t, identityOf(1))
	old := *two.about.Load()
	old.Instance, old.Looking = 2, true
	two.about.Store(&old)
	two.Settle(true)
	found := make(chan Duplicate)
	go one.Run(t.Context(), found)
	one.noteDuplicate(old)
	if d := <-found; d.Endpoint != two.endpoint || !one.MustStop(1, d) {
		t.Errorf("found %+v: it is taken to look still", d)
	}
}

// Gossip names a duplicate once, while neither has settled. It is asked again
// without that: it may have settled since.
func TestLiveDuplicateIsAskedAgain(t *testing.T) {
	t.Parallel()
	one, two := testGossip(t, identityOf(1)), testGossip(t, identityOf(1))
	ours, theirs := *one.about.Load(), *two.about.Load()
	ours.Instance = 9
	one.about.Store(&ours)
	found := make(chan Duplicate)
	go one.Run(t.Context(), found)
	one.noteDuplicate(theirs)
	if d := <-found; one.MustStop(1, d) {
		t.Fatal("the newcomer of the higher instance stops")
	}
	two.Settle(true)
	select {
	case d := <-found:
		if !one.MustStop(1, d) {
			t.Errorf("found %+v, which is not taken to have settled", d)
		}
	case <-time.After(giveUpAfter):
		t.Error("not asked again")
	}
}
