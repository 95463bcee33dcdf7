// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestSessionIsReplacedWhileTrafficGoesOn for ten minutes.
func TestSessionIsReplacedWhileTrafficGoesOn(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	began, born := w.now, w.now
	replaced := 0
	for w.now.Sub(began) < 10*time.Minute {
		a.send(b, 0, "x")
		w.pass(time.Second)
		if s := a.peers[b].current.Load(); s.born != born {
			if age := s.born.Sub(born); age < rekeyAfter*9/10 || age > rekeyAfter*11/10+2*time.Second {
				t.Errorf("replaced after %v", age)
			}
			born = s.born
			replaced++
		}
	}
	if replaced < 4 || replaced > 5 || uint64(replaced) != a.peers[b].counts.rekeys {
		t.Errorf("replaced %d times in ten minutes, %d counted", replaced, a.peers[b].counts.rekeys)
	}
	if len(b.got) != 600 {
		t.Errorf("%d of 600 packets arrived: %v", len(b.got), b.why)
	}
	if used := a.index.Load().used; used > 3 {
		t.Errorf("%d sessions are kept", used)
	}
}

// TestRekeyLosesNothing: datagrams are lost, delayed by up to a second, and
// overtake each other. What arrives is accepted, all of it.
func TestRekeyLosesNothing(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	r := rand.New(w.random)
	type arrival struct {
		datagram
		at time.Time
	}
	var onTheWay []arrival
	sent, arrived := 0, 0
	for end := w.now.Add(20 * time.Minute); w.now.Before(end); w.now = w.now.Add(200 * time.Millisecond) {
		a.send(b, sent%4, fmt.Sprint(sent))
		b.send(a, sent%4, fmt.Sprint(sent))
		sent += 2
		w.tick()
		for _, d := range w.flight {
			if r.IntN(10) > 0 {
				onTheWay = append(onTheWay, arrival{d, w.now.Add(time.Duration(r.IntN(1000)) * time.Millisecond)})
			}
		}
		w.flight = w.flight[:0]
		onTheWay = slices.DeleteFunc(onTheWay, func(d arrival) bool {
			if d.at.After(w.now) {
				return false
			}
			reason := d.to.receive(d.datagram)
			if IsData(d.bytes) {
				arrived++
				if reason != OK {
					t.Fatalf("%v before the end: a datagram of node %d is %v", end.Sub(w.now), d.from.self[1], reason)
				}
			}
			return true
		})
	}
	if a.peers[b].counts.rekeys < 8 || arrived < sent*8/10 {
		t.Errorf("%d rekeys, %d of %d datagrams arrived", a.peers[b].counts.rekeys, arrived, sent)
	}
	if dropped := a.peers[b].dropped + b.peers[a].dropped; dropped > 0 {
		t.Errorf("%d packets waited in vain", dropped)
	}
}

func TestOldSessionIsRefused(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	s := b.peers[a].current.Load()
	a.send(b, 0, "late")
	w.now = w.now.Add(refuseAfter)
	if got := b.receive(w.flight[0]); got != Expired {
		t.Errorf("got %v", got)
	}
	w.flight = nil
	if a.peers[b].Sending(0, w.now) != nil {
		t.Error("it still sends")
	}
	w.settle()
	if b.index.Load().used != 0 || s.open != [keySize]byte{} {
		t.Error("it is still there")
	}
	if next := b.Next(); !next.IsZero() && next.Before(w.now.Add(-sweepEvery)) {
		t.Errorf("the timers are at %v", next)
	}
}

func TestIdleNodesAreQuiet(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	w.pass(30 * time.Second) // the last keepalive
	heard := b.why[OK] + a.why[OK]
	w.pass(10 * time.Minute)
	if more := b.why[OK] + a.why[OK] - heard; more > 0 {
		t.Errorf("%d datagrams without traffic", more)
	}
	if !a.Next().IsZero() || !b.Next().IsZero() {
		t.Error("there are timers without sessions")
	}
}

func TestSpentCountersAskForAHandshakeAndEnd(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	s := a.peers[b].current.Load()
	if s.rekeyPackets < rekeyPackets/10*9 || s.rekeyPackets > rekeyPackets/10*11 {
		t.Errorf("rekey after %d packets", s.rekeyPackets)
	}
	st := a.peers[b].Sending(0, w.now)
	st.header.counter = s.rekeyPackets - 1
	a.send(b, 0, "x")
	a.send(b, 0, "y")
	w.settle()
	if now := a.peers[b].current.Load(); now == s {
		t.Error("no handshake after many packets")
	}
	st = a.peers[b].Sending(0, w.now)
	st.header.counter = refusePackets - 1
	sealed := make([]byte, Overhead+1)
	if !st.Seal(sealed) {
		t.Error("the last counter is not used")
	}
	if b.receive(datagram{a, b, sealed}) != OK {
		t.Error("the last counter is not accepted")
	}
	for range 2 {
		if st.Seal(sealed) {
			t.Error("counters beyond the limit are used")
		}
	}
}

func TestQueueDropsTheOldest(t *testing.T) {
	w, a, b := pair(t)
	packet := make([]byte, 1000)
	dropped := 0
	for i := range 200 {
		packet[0] = byte(i)
		dropped += a.peers[b].Hold(packet)
	}
	if want := 200 - maxHeld/1000; dropped != want {
		t.Errorf("%d dropped, want %d", dropped, want)
	}
	if st := a.Status(w.now)[0]; st.Dropped != uint64(dropped) || st.Held != 200-dropped {
		t.Errorf("status is %+v", st)
	}
	if a.peers[b].Hold(make([]byte, maxHeld+1)) != 1 {
		t.Error("a packet beyond the limit is kept")
	}
	w.settle()
	if len(b.got) != 200-dropped || b.got[0][2] != byte(dropped) {
		t.Errorf("%d packets arrived", len(b.got))
	}
}

func TestOnlyTheNewestDatagramMayMoveAnEndpoint(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	for range 3 {
		a.send(b, 0, "x")
	}
	open := func(i int) (Reason, bool) {
		var out [MaxTrain]Opened
		b.Open(w.now, slices.Clone(w.flight[i].bytes), 0, &out)
		return out[0].Reason, out[0].Newest
	}
	for _, c := range []struct {
		datagram int
		reason   Reason
		newest   bool
	}{{1, OK, true}, {0, OK, false}, {1, Replayed, false}, {2, OK, true}} {
		if reason, newest := open(c.datagram); reason != c.reason || newest != c.newest {
			t.Errorf("datagram %d: %v, newest %v", c.datagram, reason, newest)
		}
	}
	// The previous session still opens, but it moves nothing.
	w.flight = nil
	old := a.peers[b].Sending(0, w.now)
	a.peers[b].current.Load().worn.Store(true)
	w.now = w.now.Add(time.Second)
	a.send(b, 0, "x")
	w.settle()
	late := make([]byte, Overhead+1)
	if !old.Seal(late) {
		t.Fatal("the old stream is spent")
	}
	w.flight = []datagram{{a, b, late}}
	if reason, newest := open(0); reason != OK || newest {
		t.Errorf("datagram of the previous session: %v, newest %v", reason, newest)
	}
}

// TestSessionIsAsOldAsMessage1 for the initiator: the responder must not refuse
// it first.
func TestSessionIsAsOldAsMessage1(t *testing.T) {
	for _, late := range []time.Duration{answerWithin - 1, answerWithin} {
		w, a, b := pair(t)
		a.send(b, 0, "one")
		w.tick()
		b.receive(w.flight[0])
		answer := w.flight[1]
		w.flight = nil
		w.now = w.now.Add(late)
		if late == answerWithin {
			if got := a.receive(answer); got != Expired || a.peers[b].current.Load() != nil {
				t.Errorf("after %v: %v", late, got)
			}
			continue
		}
		if got := a.receive(answer); got != OK {
			t.Errorf("after %v: %v", late, got)
		}
		if mine, theirs := a.peers[b].current.Load(), b.peers[a].next; mine.refuseAt.After(theirs.refuseAt) {
			t.Error("the initiator sends when the responder refuses already")
		}
	}
}

// TestStoppedInitiatorSendsNothingThatIsRefused: the answer has waited while
// its node was stopped. A session of it would be due for a rekey, and the
// message for that can overtake the packet that waited.
func TestStoppedInitiatorSendsNothingThatIsRefused(t *testing.T) {
	w, a, b := pair(t)
	a.send(b, 0, "x")
	w.tick()
	b.receive(w.flight[0])
	answer := w.flight[1]
	w.flight = nil
	w.now = w.now.Add(refuseAfter - time.Second)
	a.receive(answer)
	w.tick()
	for len(w.flight) > 0 { // the last one first
		last := len(w.flight) - 1
		d := w.flight[last]
		w.flight = w.flight[:last]
		d.to.receive(d)
		w.tick()
	}
	if n := b.why[UnknownSession]; n > 0 {
		t.Errorf("%d packets were lost", n)
	}
}
