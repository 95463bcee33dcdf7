// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"testing"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// doubtful has one member, that gossip has given up at some time
// zero.
func doubtful() (r *members, key record.Identity, id record.NodeID, name string, at func(time.Duration) time.Time) {
	key, zero := identityOf(2), time.Now()
	id = key.ID()
	r = newMembers(record.NodeID{1}, record.NetworkID{})
	r.put(startOf(key, 1, 1001))
	r.news(zero)
	r.reportedDead(wire.MemberName(id, 1), zero)
	return r, key, id, wire.MemberName(id, 1), func(d time.Duration) time.Time { return zero.Add(d) }
}

func TestMemberThatGossipGivesUpIsDeadUnlessItAnswers(t *testing.T) {
	r, _, id, _, at := doubtful()
	if l := r.news(at(0))[id]; !l.Up || !l.Suspect {
		t.Errorf("before it is asked: %+v", l)
	}
	if n := len(r.questions(at(0), 9)); n != 1 {
		t.Error("it is not asked")
	}
	if n := len(r.questions(at(askAgain-1), 9)); n != 0 {
		t.Error("it is asked again at once")
	}
	if n := len(r.questions(at(askAgain), 9)); n != 1 {
		t.Error("it is asked only once")
	}
	if n := len(r.questions(at(doubtFor), 9)); n != 0 {
		t.Error("it is asked when the time is over")
	}
	if l, ok := r.news(at(doubtFor))[id]; !ok || l.Up || r.size() != 0 {
		t.Errorf("when the time is over: %+v, %v", l, ok)
	}
}

func TestMemberThatAnswersIsUpForAsLongAsItDoes(t *testing.T) {
	r, key, id, _, at := doubtful()
	var last time.Duration
	for ; last < time.Minute; last += askNext {
		if n := len(r.questions(at(last), 9)); n != 1 {
			t.Fatalf("%d questions after %v", n, last)
		}
		r.prove(key, 1, 1001, time.Millisecond, at(last))
		if l, ok := r.news(at(last))[id]; ok && (!l.Up || l.Suspect) {
			t.Fatalf("after %v: %+v", last, l)
		}
	}
	if !r.inDoubt(id) || len(r.endpoints()) != 0 {
		t.Error("no node looks for it, so it would be in doubt for ever")
	}
	last -= askNext
	if r.questions(at(last+answerHolds-1), 9); r.size() != 1 {
		t.Error("dead before its answer has lost its force")
	}
	if r.questions(at(last+answerHolds), 9); r.size() != 0 {
		t.Error("up without an answer")
	}
}

// A refutation has no signature. It ends a doubt about a member that answers,
// and gives another one the time that an accusation gives, once.
func TestRefutationEndsADoubtOfAMemberThatAnswers(t *testing.T) {
	r, key, id, _, at := doubtful()
	r.prove(key, 1, 1001, time.Millisecond, at(0))
	r.put(startOf(key, 1, 1001))
	if r.inDoubt(id) || len(r.questions(at(time.Hour), 9)) != 0 || r.size() != 1 || len(r.endpoints()) != 1 {
		t.Error("it still is in doubt")
	}
}

func TestRefutationsKeepNoMemberUpThatDoesNotAnswer(t *testing.T) {
	r, key, _, name, at := doubtful()
	for now := time.Duration(0); now < accusedFor; now += 50 * time.Millisecond {
		r.reportedDead(name, at(now))
		r.put(startOf(key, 1, 1001))
		if r.questions(at(now), 9); r.size() != 1 || len(r.endpoints()) != 1 {
			t.Fatalf("dead after %v", now)
		}
	}
	if r.questions(at(accusedFor), 9); r.size() != 0 {
		t.Error("up without an answer")
	}
}

func TestEarlierStartIsNotAsked(t *testing.T) {
	r, key, id, name, at := doubtful()
	r.put(startOf(key, 1, 1001))
	r.put(startOf(key, 2, 1002))
	r.reportedDead(name, at(0))
	if n := len(r.questions(at(0), 9)); n != 0 || r.inDoubt(id) {
		t.Errorf("%d questions", n)
	}
	if m, ok := r.of(id); !ok || m.start != 2 || len(r.members) != 1 {
		t.Errorf("%d members, start %d counts", len(r.members), m.start)
	}
}

// A member that cannot be asked in time is dead: half a network is not asked
// for longer than one member.
func TestQuestionsAreLimitedAndDoubtsEndAllTheSame(t *testing.T) {
	const members = 1000
	r, now := newMembers(record.NodeID{1}, record.NetworkID{}), time.Now()
	for i := range uint16(members) {
		key := identityOf(2, byte(i>>8), byte(i))
		r.put(startOf(key, 1, 1000+i))
		r.reportedDead(wire.MemberName(key.ID(), 1), now)
	}
	for range members / maxAsking {
		if n := len(r.questions(now, maxAsking)); n != maxAsking {
			t.Fatalf("%d questions at once", n)
		}
	}
	if n := len(r.questions(now, maxAsking)); n != members%maxAsking {
		t.Fatalf("%d questions in the end: a member is asked twice", n)
	}
	if r.questions(now.Add(doubtFor), 0); r.size() != 0 || len(r.doubts) != 0 {
		t.Errorf("%d members are left, %d doubts", r.size(), len(r.doubts))
	}
}

func TestNodeThatSaidFarewellIsBelieved(t *testing.T) {
	r, _, id, _, at := doubtful()
	r.dropLeft(func(record.NodeID) bool { return false })
	if !r.inDoubt(id) {
		t.Error("no doubt about one that has said nothing")
	}
	r.dropLeft(func(left record.NodeID) bool { return left == id })
	if l, ok := r.news(at(0))[id]; !ok || l.Up || r.size() != 0 {
		t.Errorf("after its farewell: %+v, %v", l, ok)
	}
}
