// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net/netip"
	"testing"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

func TestLagFades(t *testing.T) {
	now := time.Now()
	l := &lag{}
	if got := l.round(now); got != 0 {
		t.Errorf("before anything came: %v", got)
	}
	l.note(time.Second, now)
	l.note(time.Millisecond, now) // a quick one does not hide it
	for after, want := range map[time.Duration]time.Duration{
		0:             2 * time.Second,
		lagHalf - 1:   2 * time.Second,
		lagHalf:       time.Second,
		3 * lagHalf:   250 * time.Millisecond,
		time.Hour:     0,
		-time.Minute:  2 * time.Second, // callers do not agree about now
		16 * lagHalf:  0,
		1000000 * 1e9: 0,
	} {
		if got := l.round(now.Add(after)); got != want || 2*l.now(now.Add(after)) != want {
			t.Errorf("%v later: %v, want %v", after, got, want)
		}
	}
	l.note(600*time.Millisecond, now.Add(lagHalf))
	if got := l.round(now.Add(lagHalf)); got != 1200*time.Millisecond {
		t.Errorf("seen again: %v", got)
	}
	l.note(time.Hour, now.Add(lagHalf))
	if got := l.round(now.Add(lagHalf)); got != 2*maxLag {
		t.Errorf("a host that was paused: %v", got)
	}
}

// While this node lags, it asks less often and waits longer, and a proof holds
// for longer.
func TestNodeThatLagsGivesMoreTime(t *testing.T) {
	r, key, id, name, at := doubtful()
	const longer = 2 * time.Second
	lagging := func(when time.Duration) time.Time {
		r.lag.note(longer/2, at(when))
		return at(when)
	}
	if n := len(r.questions(lagging(0), 9)); n != 1 {
		t.Error("it is not asked")
	}
	if n := len(r.questions(lagging(askAgain+longer-1), 9)); n != 0 {
		t.Error("it is asked before an answer can be here")
	}
	if n := len(r.questions(lagging(askAgain+longer), 9)); n != 1 {
		t.Error("it is not asked again")
	}
	if r.questions(lagging(doubtFor+2*longer-1), 9); r.size() != 1 {
		t.Error("dead before its time")
	}
	r.put(startOf(key, 1, 1001))
	r.prove(key, 1, 1001, time.Millisecond, lagging(doubtFor+2*longer-1))
	proved := doubtFor + 2*longer - 1
	r.accused(name, lagging(proved+proofHolds+2*longer-1))
	if r.doubts[name] != nil {
		t.Error("in doubt although it has just proven itself")
	}
	r.accused(name, lagging(proved+proofHolds+2*longer))
	if r.doubts[name] == nil {
		t.Error("an accusation starts no doubt any more")
	}
	if r.questions(at(time.Hour), 9); r.size() != 0 || r.inDoubt(id) {
		t.Error("up without an answer once the lag is over")
	}
}

func TestLateAnswersCountWhileThisNodeLags(t *testing.T) {
	key, now := identityOf(2), time.Now()
	about := metaOf(key, 1, 1)
	for after, lags := range map[time.Duration]bool{questionFor + time.Second: false, questionFor + 3*time.Second: true} {
		l := &lag{}
		q := newQuestions(l)
		answered := func(after time.Duration) bool {
			nonce, ok := q.put(key.ID(), netip.AddrPort{}, nil, now)
			if !ok {
				t.Fatal("no room")
			}
			if lags {
				l.note(time.Second, now.Add(after))
			}
			_, _, ok = q.match(wire.EncodeProof(nonce, about, key), now.Add(after))
			return ok
		}
		if got := answered(after); got != lags {
			t.Errorf("%v late, lags: %v: it counts: %v", after, lags, got)
		}
		if answered(time.Minute) {
			t.Error("an answer counts for ever")
		}
	}
}

// What has waited for too long is dropped, and counted.
func TestDatagramsThatHaveWaitedAreDropped(t *testing.T) {
	g := &Agent{members: newMembers(record.NodeID{1}, record.NetworkID{})}
	for waited, want := range map[time.Duration]bool{0: false, maxLag: false, maxLag + 1: true, time.Hour: true} {
		before := g.dropped.Load()
		if got := g.late(waited); got != want || g.dropped.Load()-before != map[bool]uint64{true: 1}[want] {
			t.Errorf("after %v: %v, %d dropped", waited, got, g.dropped.Load()-before)
		}
	}
	if g.Longer(time.Now()) != 2*maxLag {
		t.Error("it does not know that it lags")
	}
}

// A host that was stopped for a while, or is busy, comes late to its rounds.
func TestRoundsThatComeLateAreALag(t *testing.T) {
	g := &Agent{members: newMembers(record.NodeID{1}, record.NetworkID{})}
	g.prober = prober{open: map[string]time.Time{}, at: time.Now().Add(time.Hour)}
	stays := func(record.NodeID) bool { return false }
	now := time.Now()
	for range 5 {
		g.Tick(now, stays)
		now = now.Add(TickEvery)
	}
	if got := g.Longer(now); got != 0 {
		t.Errorf("in time, and lags by %v", got)
	}
	now = now.Add(time.Second)
	g.Tick(now, stays)
	if got := g.Longer(now); got != 2*time.Second {
		t.Errorf("a second late, and lags by %v", got)
	}
}
