// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// backWithin is how long packets may take to arrive again both ways after a
// node goes on: a peer that lost its session is known by three silent sweeps.
const backWithin = (silentSweeps+1)*sweepEvery + time.Second

// afterPause lets one of two nodes pause while both have packets to send, and
// go on. It returns how long it took until packets arrived both ways.
func afterPause(t *testing.T, length time.Duration, pause func(*host, time.Duration)) time.Duration {
	t.Helper()
	w, a, b := pair(t)
	w.connect(a, b)
	sent := 0
	both := func() {
		sent++
		for _, h := range []*host{a, b} {
			if other := map[*host]*host{a: b, b: a}[h]; !h.stopped {
				h.send(other, 0, fmt.Sprint("packet ", sent))
			}
		}
	}
	for range 20 {
		both()
		w.pass(time.Second)
	}
	pause(b, length)
	for step := max(time.Second, length/100); length > 0; length -= step {
		both()
		w.pass(min(step, length))
	}
	b.resume()
	for took := time.Duration(0); took <= backWithin; took += 100 * time.Millisecond {
		a.got, b.got = nil, nil
		both()
		w.pass(100 * time.Millisecond)
		want := fmt.Sprint("packet ", sent)
		if strings.Contains(fmt.Sprint(a.got), want) && strings.Contains(fmt.Sprint(b.got), want) {
			acceptsNothingTwice(t, a, b)
			return took
		}
	}
	t.Fatalf("%v after a pause nothing arrives: %v, %v", backWithin, a.why, b.why)
	return 0
}

// acceptsNothingTwice fails the test if a node has refused something as
// replayed or forged: there was no attacker.
func acceptsNothingTwice(t *testing.T, nodes ...*host) {
	t.Helper()
	for _, h := range nodes {
		if h.why[Replayed]+h.why[Forged] > 0 {
			t.Errorf("node %d refused %v", h.self[1], h.why)
		}
	}
}

// pauses are shorter than a session, longer than one, and longer than all that
// is planned.
var pauses = []time.Duration{time.Second, time.Minute, 110 * time.Second, 170 * time.Second, 4 * time.Minute, time.Hour, 30 * 24 * time.Hour}

func TestStoppedNodeGoesOn(t *testing.T) {
	for _, length := range pauses[:6] {
		took := afterPause(t, length, func(h *host, _ time.Duration) { h.stop() })
		t.Logf("stopped for %v: packets after %v", length, took)
	}
}

// The clock of a virtual machine that was paused is behind: its sessions are
// younger to it than to its peers.
func TestNodeWhoseClockStoodStillGoesOn(t *testing.T) {
	for _, length := range pauses[:6] {
		took := afterPause(t, length, (*host).suspend)
		t.Logf("suspended for %v: packets after %v", length, took)
	}
}

// A clock that jumps ahead ends sessions early, and no packet leaves by an
// expired one.
func TestClockThatJumpsAheadEndsSessions(t *testing.T) {
	for _, length := range pauses {
		w, a, b := pair(t)
		w.connect(a, b)
		old := b.peers[a].current.Load()
		b.behind -= length
		b.send(a, 0, "to a")
		if after := length >= refuseAfter; after != (len(w.flight) == 0) {
			t.Errorf("a jump of %v: %d datagrams in flight", length, len(w.flight))
		}
		a.send(b, 0, "to b")
		w.pass(backWithin)
		a.wants("2:to a")
		a.send(b, 0, "again")
		w.settle()
		if got := fmt.Sprint(b.got); !strings.Contains(got, "1:again") {
			t.Errorf("a jump of %v: node 2 got %s, %v", length, got, b.why)
		}
		if s := b.peers[a].current.Load(); length >= refuseAfter && s == old {
			t.Errorf("a jump of %v: the session goes on", length)
		}
		acceptsNothingTwice(t, a, b)
	}
}
