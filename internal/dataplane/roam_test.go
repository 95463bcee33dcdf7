// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net/netip"
	"testing"
	"time"
)

var (
	atRecord = netip.MustParseAddrPort("192.0.2.2:9000")
	atSecond = netip.MustParseAddrPort("192.0.2.72:9000")
	atThird  = netip.MustParseAddrPort("192.0.2.73:9000")
)

// wanderer is a roam in virtual time. The peer receives at some addresses, and
// answers after a time.
type wanderer struct {
	t *testing.T
	roam
	now       time.Time
	receives  map[netip.AddrPort]bool
	trip      time.Duration
	mute      bool // there is no session
	questions map[netip.AddrPort]int
	sent      map[uint64]time.Time // of the first question with a number that arrived
	last      uint64
}

func newWanderer(t *testing.T) *wanderer {
	w := &wanderer{
		t: t, now: time.Unix(1_800_000_000, 0), receives: map[netip.AddrPort]bool{}, trip: 10 * time.Millisecond,
		questions: map[netip.AddrPort]int{}, sent: map[uint64]time.Time{},
	}
	w.follow(atRecord, 1)
	return w
}

// newRoamed is one that was at atSecond for some time.
func newRoamed(t *testing.T, stay time.Duration) *wanderer {
	t.Helper()
	w := newWanderer(t)
	w.receives[atSecond] = true
	w.sees(atSecond)
	w.pass(stay)
	w.wants(atSecond)
	return w
}

func (w *wanderer) ask(to netip.AddrPort, number uint64) (uint64, bool) {
	if w.mute {
		return 0, false
	}
	w.questions[to]++
	if number == 0 {
		w.last++
		number = w.last
	}
	if _, known := w.sent[number]; !known && w.receives[to] {
		w.sent[number] = w.now
	}
	return number, true
}

func (w *wanderer) answered(number uint64) bool {
	at, known := w.sent[number]
	return known && !w.now.Before(at.Add(w.trip))
}

// pass lets time pass, and returns when the endpoint became another one.
func (w *wanderer) pass(d time.Duration) (after time.Duration, changed bool) {
	w.t.Helper()
	const tick = 5 * time.Millisecond
	for start := w.now; w.now.Sub(start) < d; w.now = w.now.Add(tick) {
		before := w.endpoint()
		if got := w.step(w.now, w.answered, w.ask); got != (before != w.endpoint()) {
			w.t.Errorf("step reports %v from %v to %v", got, before, w.endpoint())
		}
		if before != w.endpoint() && !changed {
			after, changed = w.now.Sub(start), true
		}
	}
	return after, changed
}

func (w *wanderer) sees(at netip.AddrPort) (back bool) {
	return w.sight(w.now, at.Addr(), func(e netip.AddrPort) string {
		if e == netip.MustParseAddrPort("127.0.0.1:9000") {
			return "loopback"
		}
		return ""
	})
}

func (w *wanderer) wants(at netip.AddrPort) {
	w.t.Helper()
	if w.endpoint() != at {
		w.t.Errorf("the endpoint is %v, want %v", w.endpoint(), at)
	}
}

func TestAPeerRoamsToWhereItReceives(t *testing.T) {
	w := newWanderer(t)
	w.receives[atSecond] = true
	w.sees(atSecond)
	w.wants(atRecord) // not before it has answered
	if after, changed := w.pass(time.Second); !changed || after > 20*time.Millisecond {
		t.Errorf("roamed: %v, after %v; the peer answers in %v", changed, after, w.trip)
	}
	w.wants(atSecond)
	w.pass(10 * time.Minute) // it goes on to answer
	w.wants(atSecond)
	if n := w.questions[atSecond]; n < 120 || n > 160 {
		t.Errorf("%d questions in ten minutes", n)
	}
}

// Also where an answer takes longer than the time between two questions, and
// where two questions of three are lost.
func TestAPeerFarAwayRoams(t *testing.T) {
	w := newWanderer(t)
	w.receives[atSecond], w.trip = true, 700*time.Millisecond
	w.sees(atSecond)
	w.pass(time.Second)
	w.wants(atSecond)
	w = newWanderer(t)
	w.sees(atSecond)
	w.pass(2 * trialEvery)
	w.receives[atSecond] = true
	w.pass(time.Second)
	w.wants(atSecond)
}

// An attacker can forward one authentic datagram from its own address, and NAT
// can make a source at which nothing is received. Neither moves the traffic.
func TestAPeerDoesNotRoamToWhereItDoesNotReceive(t *testing.T) {
	w := newWanderer(t)
	for range 3600 { // for an hour, a sight each second
		w.sees(atSecond)
		if _, changed := w.pass(time.Second); changed {
			t.Fatal("it roamed")
		}
	}
	if n := w.questions[atSecond]; n > 220 || n < 170 {
		t.Errorf("%d questions in an hour, want three a minute", n)
	}
}

func TestAPeerIsSentToItsRecordAgainAtOnce(t *testing.T) {
	w := newRoamed(t, time.Second)
	if !w.sees(atRecord) || w.active() {
		t.Error("its own packet from there does not count")
	}
	w.wants(atRecord)
	if w.sees(atRecord) {
		t.Error("it is back twice")
	}
	// A late datagram from the old address costs no more than an answer.
	w.sees(atSecond)
	w.pass(time.Second)
	w.wants(atSecond)
}

func TestTheRecordWins(t *testing.T) {
	for name, record := range map[string]struct {
		at    netip.AddrPort
		start uint64
	}{"another endpoint": {atThird, 1}, "a later start": {atRecord, 2}} {
		w := newRoamed(t, time.Second)
		w.follow(atRecord, 1) // the same one
		w.wants(atSecond)
		w.follow(record.at, record.start)
		if w.wants(record.at); w.active() {
			t.Errorf("%s: it still roams", name)
		}
	}
}

func TestARoamedAddressThatDiesIsLeftWithinSeconds(t *testing.T) {
	for _, old := range []time.Duration{time.Second, time.Hour} {
		w := newRoamed(t, old)
		w.receives[atRecord] = true
		w.receives[atSecond] = false
		after, _ := w.pass(10 * time.Second)
		if w.wants(atRecord); after > checkSeldom+checkMisses*checkEvery {
			t.Errorf("after %v it was left after %v", old, after)
		}
		t.Logf("after %v there: left after %v", old, after)
	}
}

// Also while trials of other addresses begin all the time.
func TestTrialsDoNotHideThatAnAddressIsDead(t *testing.T) {
	w := newRoamed(t, time.Second)
	w.receives[atSecond] = false
	start := w.now
	for n := byte(0); w.endpoint() == atSecond && w.now.Sub(start) < time.Minute; n++ {
		w.sees(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, n}), 1))
		w.pass(50 * time.Millisecond)
	}
	if took := w.now.Sub(start); took > 10*time.Second {
		t.Errorf("it was left after %v", took)
	}
}

// A question lost now and then is no reason to leave.
func TestALostQuestionChangesNothing(t *testing.T) {
	w := newRoamed(t, time.Second)
	for range 20 {
		w.receives[atSecond] = false
		w.pass(time.Duration(checkMisses-1) * checkEvery)
		w.receives[atSecond] = true
		if _, changed := w.pass(2 * checkEvery); changed {
			t.Fatal("it was left")
		}
	}
}

func TestRoamingEndsWithTheSession(t *testing.T) {
	w := newRoamed(t, time.Second)
	w.mute = true
	w.pass(2 * checkEvery)
	w.wants(atRecord)
	w.sees(atSecond)
	if _, changed := w.pass(time.Second); changed || w.active() {
		t.Error("it roams without a session")
	}
}

func TestTrialsAreBounded(t *testing.T) {
	w := newWanderer(t)
	for n := range 600 { // ten addresses a second
		w.sees(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), 1))
		w.pass(100 * time.Millisecond)
	}
	total := 0
	for _, n := range w.questions {
		total += n
	}
	if total > 60*trialQuestions || len(w.questions) < 20 {
		t.Errorf("%d questions to %d addresses in a minute", total, len(w.questions))
	}
	w = newWanderer(t)
	w.sees(netip.MustParseAddrPort("127.0.0.1:9000"))
	if w.active() {
		t.Error("an address that is refused is asked")
	}
	w.follow(netip.AddrPort{}, 1)
	if w.sees(atSecond); w.active() {
		t.Error("a node without an endpoint roams")
	}
}
