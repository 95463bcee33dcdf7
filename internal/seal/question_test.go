// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"testing"
	"time"
)

func TestOnlyThePeerAnswersAQuestion(t *testing.T) {
	w, a, b := pair(t)
	if _, ok := a.Question(w.now, a.peers[b], 0, a.emit); ok {
		t.Error("asked without a session")
	}
	w.connect(a, b)
	w.now = w.now.Add(time.Second)
	p := a.peers[b]
	first, ok := a.Question(w.now, p, 0, a.emit)
	question := w.flight[0]
	if !ok || p.Answered(first) {
		t.Fatalf("asked: %v, answered before the question arrives: %v", ok, p.Answered(first))
	}
	b.receive(question)
	w.tick()
	answer := w.flight[1]
	if w.flight = nil; len(answer.bytes) > len(question.bytes) {
		t.Errorf("%d bytes are answered with %d", len(question.bytes), len(answer.bytes))
	}
	// Its copy, and a reflected question, are no answers.
	if got := a.receive(datagram{b, a, question.bytes}); got == OK || p.Answered(first) {
		t.Errorf("reflected: %v", got)
	}
	// An answer to the question before comes too late.
	second, _ := a.Question(w.now, p, 0, a.emit)
	a.receive(answer)
	if p.Answered(first) || p.Answered(second) {
		t.Error("the answer to an earlier question counts")
	}
	w.now = w.now.Add(questionRest)
	woken := a.woken
	w.settle()
	if !p.Answered(second) || p.Answered(first) || a.woken == woken {
		t.Errorf("answered: %v, woken: %v", p.Answered(second), a.woken > woken)
	}
	// Of a question that was sent twice, the first answer counts.
	w.now = w.now.Add(questionRest)
	third, _ := a.Question(w.now, p, 0, a.emit)
	b.receive(w.flight[0])
	if again, ok := a.Question(w.now, p, third, a.emit); again != third || !ok {
		t.Errorf("asked again with %d, want %d", again, third)
	}
	if w.settle(); !p.Answered(third) {
		t.Error("a question that was sent twice is not answered")
	}
	a.wants()
	b.wants() // lanes do not see any of it
}

func TestQuestionsCostAPeerLittle(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	w.now = w.now.Add(time.Second)
	answers := 0
	for range 100 {
		a.Question(w.now, a.peers[b], 0, a.emit)
		for _, d := range w.flight {
			b.receive(d)
		}
		w.flight = nil
		b.Tick(w.now, b.emit)
		answers += len(w.flight)
		w.flight = nil
		w.now = w.now.Add(questionRest / 10)
	}
	if answers != 10 {
		t.Errorf("%d answers, want 10", answers)
	}
}

// A member with a fault sends answers that were not asked for.
func TestAnswersWithoutAQuestionWakeNothing(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	woken := a.woken
	for number := range uint64(5) {
		b.send(a, 0, string(appendQuestion(nil, contentAnswer, number)))
		a.receive(w.flight[0])
		w.flight = nil
		if a.peers[b].Answered(number) {
			t.Errorf("%d is answered", number)
		}
	}
	if a.woken != woken {
		t.Errorf("woken %d times", a.woken-woken)
	}
}

func TestQuestionsAreTakenOutOfTrainsWithoutAllocations(t *testing.T) {
	w, a, b := pair(t)
	w.connect(a, b)
	const size = Overhead + questionSize
	train := make([]byte, 0, 4*size)
	var out [MaxTrain]Opened
	run := func() {
		train = train[:0]
		for kind := range byte(4) { // the first and the last are packets
			at := len(train)
			train = append(train, make([]byte, HeaderLen)...)
			train = append(appendQuestion(train, kind, 7), make([]byte, TagLen)...)
			if !a.peers[b].Sending(0, w.now).Seal(train[at:]) {
				t.Fatal("not sealed")
			}
		}
		b.Open(w.now, train, size, &out)
	}
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
	for i, want := range []int{questionSize, 0, 0, questionSize} {
		if o := out[i]; o.Reason != OK || len(o.Packet) != want || o.Newest != (i == 3) {
			t.Errorf("datagram %d: %v, %d bytes, newest %v", i, o.Reason, len(o.Packet), o.Newest)
		}
	}
}
