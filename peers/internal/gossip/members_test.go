// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"crypto/ed25519"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// identityOf makes the key of a node of a test, always the same one.
func identityOf(n ...byte) record.Identity {
	var seed [ed25519.SeedSize]byte
	copy(seed[:], n)
	return record.Identity{Key: ed25519.NewKeyFromSeed(seed[:])}
}

// metaOf is what a start of a node says of itself.
func metaOf(id record.Identity, start uint64, port uint16) wire.Meta {
	return wire.Meta{
		Node: id.ID(), Key: [32]byte(id.Public()), Speaks: wire.OwnVersions, Start: start, Instance: start,
		At: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), port),
	}
}

func startOf(id record.Identity, start uint64, port uint16) *memberlist.Node {
	return &memberlist.Node{Name: wire.MemberName(id.ID(), start), Addr: net.IPv4(10, 0, 0, 1), Port: port, Meta: metaOf(id, start, port).Encode(id)}
}

// prove has a member prove that it is there.
func (r *members) prove(id record.Identity, start uint64, port uint16, rtt time.Duration, now time.Time) admission {
	m := metaOf(id, start, port)
	return r.proved(wire.Proof{Node: m.Node, Start: start, Instance: m.Instance, At: m.At}, question{at: m.At, sent: now.Add(-rtt)}, now)
}

func TestLatestLiveStartOfANodeCounts(t *testing.T) {
	self, key, now := identityOf(1), identityOf(2), time.Now()
	id := key.ID()
	r := newMembers(self.ID(), record.NetworkID{})
	up := func(want bool, port uint16) {
		t.Helper()
		m, ok := r.of(id)
		if ok != want || ok && m.node.Port != port {
			t.Errorf("up %v at port %d, want %v at %d", ok, m.node.Port, want, port)
		}
		if l := r.news(now)[id]; l.Up != want {
			t.Errorf("news says up: %v", l.Up)
		}
	}
	r.put(startOf(key, 1, 1001))
	up(true, 1001)
	r.put(startOf(key, 2, 1002))
	up(true, 1002)
	r.reportedDead(wire.MemberName(id, 1), now) // about the earlier start
	up(true, 1002)
	r.put(startOf(key, 1, 1001)) // and another
	up(true, 1002)
	r.reportedDead(wire.MemberName(id, 2), now)
	r.questions(now.Add(doubtFor), 1)
	up(true, 1001)
	r.reportedDead(wire.MemberName(id, 1), now)
	up(true, 1001) // until it has had the time to answer
	r.questions(now.Add(doubtFor), 1)
	up(false, 0)
	r.put(startOf(self, 9, 1009))
	r.put(&memberlist.Node{Name: "not-flanneld", Addr: net.IPv4(10, 0, 0, 1)})
	r.put(&memberlist.Node{Name: wire.MemberName(record.NodeID{3}, 1), Meta: metaOf(key, 1, 1001).Encode(key)}) // says it is another
	if n := r.size(); n != 0 {
		t.Errorf("%d nodes", n)
	}
}

func TestStartThatStillLooksForDuplicatesDoesNotCountBesideIt(t *testing.T) {
	key := identityOf(2)
	id := key.ID()
	r := newMembers(record.NodeID{1}, record.NetworkID{})
	looks, about := startOf(key, 2, 1002), metaOf(key, 2, 1002)
	about.Looking = true
	looks.Meta = about.Encode(key)
	counts := func(port uint16) {
		t.Helper()
		if m, _ := r.of(id); m.node.Port != port {
			t.Errorf("the member at port %d counts, want %d", m.node.Port, port)
		}
	}
	r.put(looks)
	counts(1002) // before anything else is known
	r.put(startOf(key, 1, 1001))
	counts(1001)
	r.put(startOf(key, 2, 1002)) // it has found none
	counts(1002)
}

func TestSuspicionEndsWithAnAnswerOrWearsOff(t *testing.T) {
	key, now := identityOf(2), time.Now()
	id := key.ID()
	name := wire.MemberName(id, 1)
	r := newMembers(record.NodeID{1}, record.NetworkID{})
	r.put(startOf(key, 1, 1001))
	if r.news(now)[id].Suspect {
		t.Error("suspect from the start")
	}
	r.failed(name, now)
	for range 2 {
		if !r.news(now)[id].Suspect {
			t.Error("not suspect after a failed probe")
		}
	}
	r.pinged(name, time.Second)
	if !r.news(now)[id].Suspect {
		t.Error("not suspect after a ping, which proves nothing")
	}
	r.prove(key, 1, 1001, time.Millisecond, now)
	if l, ok := r.news(now)[id]; !ok || l.Suspect {
		t.Errorf("suspect after an answer (%v)", ok)
	}
	r.failed(name, now)
	if l, ok := r.news(now.Add(suspectFor))[id]; !ok || l.Suspect {
		t.Errorf("suspect for ever (%v)", ok)
	}
	if _, ok := r.news(now.Add(suspectFor))[id]; ok {
		t.Error("told of again, without news")
	}
	if m, _ := r.of(id); m.rtt != time.Millisecond {
		t.Errorf("round trip %s", m.rtt)
	}
}

// An earlier start is asked when a later one is in that is past its search for
// duplicates. It is dead when it does not answer; a duplicate answers.
func TestEarlierStartIsAskedWhenALaterOneIsIn(t *testing.T) {
	key := identityOf(2)
	for _, answers := range []bool{false, true} {
		r := newMembers(record.NodeID{}, record.NetworkID{})
		r.put(startOf(key, 1, 1001))
		looking := metaOf(key, 2, 1002)
		looking.Looking = true
		later := startOf(key, 2, 1002)
		later.Meta = looking.Encode(key)
		r.put(later)
		now := time.Now()
		if n := len(r.questions(now, 9)); n != 0 {
			t.Errorf("%d questions while the later start looks for a duplicate", n)
		}
		r.put(startOf(key, 2, 1002))
		if due := r.questions(time.Now(), 9); len(due) != 1 || due[0].start != 1 {
			t.Fatalf("asked: %+v", due)
		}
		if answers {
			r.prove(key, 1, 1001, time.Millisecond, time.Now())
		}
		told := r.toReport(time.Now().Add(reportAfter))
		r.questions(time.Now().Add(accusedFor), 9)
		if left := len(r.members); answers && (left != 2 || len(told) != 0) || !answers && (left != 1 || len(told) != 1) {
			t.Errorf("it answers: %v; %d starts are up, %d told of", answers, left, len(told))
		}
	}
}

// What admits a member to memberlist ends when memberlist has it. Then the
// member's own incarnation counts, the greatest that gossip has named.
func TestAdmissionEndsWhenAMemberIsIn(t *testing.T) {
	r, key, now := newMembers(record.NodeID{1}, record.NetworkID{}), identityOf(2), time.Now()
	m := metaOf(key, 1, 1001)
	named := func(incarnation uint32) verdict {
		return r.consider(wire.Member{Incarnation: incarnation, Node: m.Name(), At: m.At, Meta: m.Encode(key)}, m, false, now)
	}
	named(3)
	if a := r.prove(key, 1, 1001, 0, now); a.in.Incarnation != 3 || !r.allowed(m.Name()) {
		t.Fatalf("not admitted: %+v", a)
	}
	r.put(startOf(key, 1, 1001))
	if len(r.admitted) != 0 || r.members[m.Name()].incarnation != 3 {
		t.Errorf("%d admitted, incarnation %d, want 3", len(r.admitted), r.members[m.Name()].incarnation)
	}
	// It is dead here, and proves to be there under a greater incarnation.
	r.remove(r.members[m.Name()], false)
	if v := named(7); v != asked {
		t.Fatalf("once it is gone: %v", v)
	}
	r.prove(key, 1, 1001, 0, now)
	if in := r.members[m.Name()]; in == nil || in.incarnation != 7 || len(r.admitted) != 0 {
		t.Errorf("restored %+v, %d admitted", in, len(r.admitted))
	}
}
