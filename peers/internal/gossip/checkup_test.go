// SPDX-License-Identifier: Apache-2.0

package gossip

import (
	"net/netip"
	"testing"
	"time"

	"flanneld/peers/internal/gossip/wire"
	"flanneld/peers/internal/record"
)

// The other clock is compared by the answer with the shortest round trip, and
// never better than half of that.
func TestClocksAreComparedByTheFastestAnswer(t *testing.T) {
	sent := time.Now()
	for _, ahead := range []time.Duration{0, 3 * time.Hour, -10 * time.Second, -60 * 365 * 24 * time.Hour} {
		var c Checkup
		for _, trip := range []time.Duration{80 * time.Millisecond, 2 * time.Millisecond, 500 * time.Millisecond} {
			clock := sent.Round(0).Add(trip / 2).Add(ahead)
			c.add(arrival{wire.Checkup{Answer: true, Way: wire.ByStream, Clock: clock}, sent.Add(trip)}, sent)
		}
		if c.Offset != ahead || c.Within != time.Millisecond {
			t.Errorf("%v ahead: %v, within %v", ahead, c.Offset, c.Within)
		}
	}
}

// What no question waits for, or another node answers, is dropped.
func TestAnswersBelongToQuestions(t *testing.T) {
	g := gateOf(t, nil)
	answers := make(chan arrival, 4)
	nonce, ok := g.checkups.put(checkup{record.NodeID{7}, answers})
	if !ok {
		t.Fatal("no room")
	}
	good := wire.Checkup{From: record.NodeID{7}, Nonce: nonce, Answer: true}
	for name, c := range map[string]wire.Checkup{
		"another node's":    {From: record.NodeID{8}, Nonce: nonce, Answer: true},
		"of no question":    {From: record.NodeID{7}, Nonce: [16]byte{1}, Answer: true},
		"a stranger's asks": {From: record.NodeID{9}, Nonce: nonce, At: netip.MustParseAddrPort("192.0.2.1:1")},
	} {
		if err := g.takeCheckup(c.Encode(), time.Now()); err != nil || len(answers) > 0 || len(g.replies) > 0 {
			t.Errorf("%s: %v, %d answers, %d replies", name, err, len(answers), len(g.replies))
		}
	}
	for range 9 { // more than there is room for
		_ = g.takeCheckup(good.Encode(), time.Now())
	}
	if len(answers) != cap(answers) {
		t.Errorf("%d answers", len(answers))
	}
	g.checkups.end(nonce)
	for range maxCheckups {
		if _, ok := g.checkups.put(checkup{record.NodeID{7}, answers}); !ok {
			t.Fatal("no room")
		}
	}
	if _, ok := g.checkups.put(checkup{record.NodeID{7}, answers}); ok {
		t.Error("questions have no limit")
	}
	if err := g.takeCheckup([]byte{3, 1}, time.Now()); err == nil {
		t.Error("half an answer was taken")
	}
}

// A member's questions are answered so often and no more, and a stranger's
// datagrams not at all.
func TestCheckupsAreLimited(t *testing.T) {
	g := gateOf(t, nil)
	other := identityOf(2)
	about := metaOf(other, 1, 1001)
	about.At = netip.AddrPortFrom(nextAddr(), 1)
	n := startOf(other, 1, 1)
	n.Addr, n.Port, n.Meta = about.At.Addr().AsSlice(), about.At.Port(), about.Encode(other)
	g.members.put(n)
	question := wire.Checkup{From: other.ID(), Nonce: [16]byte{1}, At: about.At}.Encode()
	datagram := append(append(wire.Envelope(wire.ModePlain), wire.TypeUser), question...)
	for range checkupBurst {
		g.datagram(append([]byte(nil), datagram...), netip.AddrPortFrom(nextAddr(), 1))
	}
	if len(g.replies) > 0 {
		t.Errorf("%d answers to strangers", len(g.replies))
	}
	for range 3 * checkupQueue {
		g.datagram(append([]byte(nil), datagram...), about.At)
	}
	if n := len(g.replies); n < checkupQueue/2 || n > checkupQueue {
		t.Errorf("%d answers", n)
	}
}
