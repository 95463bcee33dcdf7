// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var testStamp = Stamp{Asked: [stampLen]byte([]byte("was here")), Seen: [stampLen]byte([]byte("is there"))}

// stamping pings a peer behind a path that may stamp packets, and hands answers
// over by take.
func stamping(t *testing.T, p *peer, take func(*Ping) func([]byte) bool) PingResult {
	w := &world{peers: map[netip.AddrPort]*peer{}}
	p.lease, p.endpoint = netip.MustParsePrefix("10.244.2.0/24"), netip.MustParseAddrPort("192.0.2.2:8285")
	w.peers[p.endpoint] = p
	ping := NewPing(PingConfig{
		Source: self, Stamp: testStamp, Count: 3, Interval: 10 * time.Millisecond,
		Target: Target{
			Lease: p.lease, Longest: func() int { return 1472 },
			Send: func(b []byte, _ Offload) (int, error) { return w.send(p.endpoint, b) },
		},
	})
	w.answers = take(ping)
	return ping.Run(t.Context())
}

func TestAnAnswerCountsOnlyWithTheStampOfThePath(t *testing.T) {
	here := func(p *Ping) func([]byte) bool { return p.Answer }
	elsewhere := func(p *Ping) func([]byte) bool { return p.AnswerElsewhere }
	other := Stamp{Asked: testStamp.Asked, Seen: testStamp.Asked}
	for _, c := range []struct {
		name     string
		peer     peer
		take     func(*Ping) func([]byte) bool
		received int
	}{
		{"by the path", peer{stamp: testStamp}, here, 3},
		{"the request came by another path", peer{}, here, 0},
		{"another stamp", peer{stamp: other}, here, 0},
		{"the answer came by another path", peer{stamp: testStamp}, elsewhere, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := stamping(t, &c.peer, c.take); got.Sent != 3 || got.Received != c.received {
					t.Errorf("got %+v", got)
				}
			})
		})
	}
}

// An answer that does not count is taken all the same: no other program asked.
func TestAnAnswerWithoutTheStampIsTaken(t *testing.T) {
	in := stamped(1, testStamp)
	request := in.token.build(testRequest)
	if !in.Answer(testPeer.answer(request)) || !in.AnswerElsewhere(testPeer.answer(request)) || len(in.answers) > 0 {
		t.Errorf("%d answers count", len(in.answers))
	}
	tcp := testRequest
	tcp.tcp = true
	if !in.AnswerElsewhere(reset(in.token.build(tcp))) || len(in.answers) != 1 {
		t.Error("a reset does not count, which tells that a segment arrived whole")
	}
	if in.AnswerElsewhere([]byte("no packet")) {
		t.Error("took what is no answer")
	}
	plain := newInbox(1)
	if !plain.AnswerElsewhere(testPeer.answer(plain.token.build(testRequest))) || len(plain.answers) != 1 {
		t.Error("without a stamp, each path counts")
	}
}
