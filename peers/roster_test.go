package peers

import (
	"net"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"flanneld/peers/internal/core"
)

func startOf(id core.NodeID, start uint64, port uint16) *memberlist.Node {
	return &memberlist.Node{Name: memberName(id, start), Addr: net.IPv4(10, 0, 0, 1), Port: port, Meta: meta{node: id}.encode()}
}

func TestLatestLiveStartOfANodeCounts(t *testing.T) {
	self, id, now := core.NodeID{1}, core.NodeID{2}, time.Now()
	r := newRoster(self, suspectFor)
	up := func(want bool, port uint16) {
		t.Helper()
		m, ok := r.of(id)
		if ok != want || ok && m.node.Port != port {
			t.Errorf("up %v at port %d, want %v at %d", ok, m.node.Port, want, port)
		}
		if l := r.news(now)[id]; l.up != want {
			t.Errorf("news says up: %v", l.up)
		}
	}
	r.put(startOf(id, 1, 1001))
	up(true, 1001)
	r.put(startOf(id, 2, 1002))
	up(true, 1002)
	r.giveUp(memberName(id, 1), now) // a rumour about the earlier start
	up(true, 1002)
	r.put(startOf(id, 1, 1001)) // and another
	up(true, 1002)
	r.giveUp(memberName(id, 2), now)
	r.questions(now.Add(doubtFor), 1)
	up(true, 1001)
	r.giveUp(memberName(id, 1), now)
	up(true, 1001) // until it has had the time to answer
	r.questions(now.Add(doubtFor), 1)
	up(false, 0)
	r.put(startOf(self, 9, 1009))
	r.put(&memberlist.Node{Name: "not-flanneld", Addr: net.IPv4(10, 0, 0, 1)})
	r.put(&memberlist.Node{Name: memberName(core.NodeID{3}, 1), Meta: meta{node: id}.encode()}) // says it is another
	if n := r.size(); n != 0 {
		t.Errorf("%d nodes", n)
	}
}

func TestStartThatStillLooksForItsTwinDoesNotCountBesideIt(t *testing.T) {
	id := core.NodeID{2}
	r := newRoster(core.NodeID{1}, suspectFor)
	looks := startOf(id, 2, 1002)
	looks.Meta = meta{node: id, looking: true}.encode()
	counts := func(port uint16) {
		t.Helper()
		if m, _ := r.of(id); m.node.Port != port {
			t.Errorf("the member at port %d counts, want %d", m.node.Port, port)
		}
	}
	r.put(looks)
	counts(1002) // before anything else is known
	r.put(startOf(id, 1, 1001))
	counts(1001)
	r.put(startOf(id, 2, 1002)) // it has found none
	counts(1002)
}

func TestSuspicionEndsWithAnAnswerOrWearsOff(t *testing.T) {
	id, now := core.NodeID{2}, time.Now()
	name := memberName(id, 1)
	r := newRoster(core.NodeID{1}, suspectFor)
	r.put(startOf(id, 1, 1001))
	if r.news(now)[id].suspect {
		t.Error("suspect from the start")
	}
	r.failed(name, now)
	if !r.news(now)[id].suspect || !r.news(now)[id].suspect {
		t.Error("not suspect after a failed probe")
	}
	r.answered(name, time.Millisecond, now)
	if l, ok := r.news(now)[id]; !ok || l.suspect {
		t.Errorf("suspect after an answer (%v)", ok)
	}
	r.failed(name, now)
	r.vouched(name)
	if l, ok := r.news(now)[id]; !ok || l.suspect {
		t.Errorf("suspect after it was vouched for (%v)", ok)
	}
	r.failed(name, now)
	if l, ok := r.news(now.Add(suspectFor))[id]; !ok || l.suspect {
		t.Errorf("suspect for ever (%v)", ok)
	}
	if _, ok := r.news(now.Add(suspectFor))[id]; ok {
		t.Error("told of again, without news")
	}
	if m, _ := r.of(id); m.rtt != time.Millisecond {
		t.Errorf("round trip %s", m.rtt)
	}
}
