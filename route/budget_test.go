// SPDX-License-Identifier: Apache-2.0

package route

import (
	"slices"
	"testing"
	"time"

	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
	"flanneld/tun/tuntest"
)

func TestBudgetEndsAndComesBack(t *testing.T) {
	b := budget{share: 25}
	// Twice the share leaves a quarter of the time to the excess.
	for at := time.Duration(0); at < 4*budgetBurst; at += time.Millisecond {
		if b.used {
			t.Fatalf("used up after %v", at)
		}
		b.charge(time.Millisecond/2, time.Millisecond)
	}
	if !b.used {
		t.Fatalf("%v beyond the share, not used up", b.excess)
	}
	b.charge(10*time.Second, time.Second) // what is owed is bounded
	for at := time.Duration(0); at < 4*budgetBurst; at += time.Millisecond {
		if !b.used {
			t.Fatalf("whole again after %v", at)
		}
		b.charge(0, time.Millisecond)
	}
	if b.used {
		t.Errorf("%v owed, not whole again", b.excess)
	}
	for range 1000 { // exactly the share
		b.charge(time.Millisecond/4, time.Millisecond)
	}
	if b.used {
		t.Error("used up by the share alone")
	}
}

func TestWorkIsSharedOut(t *testing.T) {
	for _, test := range []struct {
		w    work
		n    int
		want time.Duration
	}{
		{work{all: 4}, 0, 0},
		{work{all: 4}, 1, 250},
		{work{all: 4}, 4, 1000},
		{work{all: 4}, 9, 1000},
		{work{}, 0, 1000}, // woken by what the kernel dropped
	} {
		if got := test.w.part(test.n, 1000); got != test.want {
			t.Errorf("%d of %+v: %d, want %d", test.n, test.w, got, test.want)
		}
	}
}

// flooded is a lane that gets packets in each pause, and has used all of the
// time since the last one.
func flooded(t *testing.T, express bool, rounds int, come func(*tuntest.Queue, *encaptest.Conn)) *script {
	s := new(script)
	l, q, c := scriptedLane(t, s)
	if l.Express = express; express {
		l.sparseRounds = maxIdleRounds
	}
	now := l.charged
	l.clock = func() time.Time { return now }
	l.cpuTime = func() time.Duration { return now.Sub(l.egress.meter.start) }
	l.cpu = l.cpuTime()
	for range rounds {
		s.stages = append(s.stages, func() {
			come(q, c)
			now = now.Add(time.Millisecond)
		})
	}
	if err := l.run(); err == nil {
		t.Error("the lane ended without an error")
	}
	return s
}

// Whatever a flood consists of, the lane loses its priority soon. A flood of
// the ordinary lanes' own work continues unchanged.
func TestFloodsTakeNoCore(t *testing.T) {
	n := uint16(0)
	peer := encaptest.Datagram{Addr: testPeer("b", "192.0.2.2:8285").Endpoint()}
	for _, test := range []struct {
		name    string
		express bool
		come    func(*tuntest.Queue, *encaptest.Conn)
		last    string // priority; "": that of the start
	}{
		{"garbage", false, func(_ *tuntest.Queue, c *encaptest.Conn) {
			d := peer
			d.Payload = packettest.Pattern(64)
			c.Deliver(d)
		}, "plain"},
		{"garbage on the express lane", true, func(_ *tuntest.Queue, c *encaptest.Conn) {
			d := peer
			d.Payload = packettest.Pattern(64)
			c.Deliver(d)
		}, "plain"},
		{"datagrams of strangers", true, func(_ *tuntest.Queue, c *encaptest.Conn) {
			c.Deliver(encaptest.Datagram{Addr: testPeer("x", "198.51.100.1:8285").Endpoint(), Payload: packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5"}.Build()})
		}, "plain"},
		{"what the kernel drops at the lane's receipt", true, func(*tuntest.Queue, *encaptest.Conn) {}, "plain"},
		{"packets to nowhere", false, func(q *tuntest.Queue, _ *encaptest.Conn) { q.Feed(packettest.Spec{Dst: "10.244.99.1"}.Build()) }, "plain"},
		{"new flows from a peer", true, func(_ *tuntest.Queue, c *encaptest.Conn) {
			n++
			d := peer
			d.Payload = packettest.Spec{Src: "10.244.2.5", Dst: "10.244.1.5", Payload: []byte{byte(n >> 8), byte(n), 0, 9, 0, 8, 0, 0}}.Build()
			c.Deliver(d)
		}, "plain"},
		{"new flows of this host", true, func(q *tuntest.Queue, _ *encaptest.Conn) {
			n++
			q.Feed(packettest.Spec{Payload: []byte{byte(n >> 8), byte(n), 0, 9, 0, 8, 0, 0}}.Build())
		}, "plain"},
		{"new flows on an ordinary lane", false, func(q *tuntest.Queue, _ *encaptest.Conn) {
			n++
			q.Feed(packettest.Spec{Payload: []byte{byte(n >> 8), byte(n), 0, 9, 0, 8, 0, 0}}.Build())
		}, "plain"},
		{"bulk traffic", false, func(q *tuntest.Queue, _ *encaptest.Conn) {
			for range 2 {
				q.FeedSuperpacket(tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(62000)).Build(), 1400)
			}
		}, "normal"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := flooded(t, test.express, 400, test.come)
			last := ""
			for _, event := range s.log {
				if slices.Contains([]string{"plain", "normal", "batch", "express"}, event) {
					last = event
				}
			}
			if last != test.last {
				t.Errorf("priority %q at the end of a flood, want %q: %v", last, test.last, s.log)
			}
		})
	}
}

// Once a flood is over, the lane is as before.
func TestUrgencyComesBackAfterAFlood(t *testing.T) {
	s := new(script)
	l, q, c := expressLane(t, s)
	now, cpu := l.charged, time.Duration(0)
	l.clock = func() time.Time { return now }
	l.cpuTime = func() time.Duration { return cpu }
	const flood = 100
	for i := range flood + 300 {
		s.stages = append(s.stages, func() {
			now = now.Add(time.Millisecond)
			if i < flood {
				cpu += time.Millisecond
				c.Deliver(encaptest.Datagram{Addr: testPeer("b", "192.0.2.2:8285").Endpoint(), Payload: packettest.Pattern(64)})
				return
			}
			cpu += 10 * time.Microsecond
			if i%10 == 0 {
				q.Feed(packettest.Spec{Protocol: packet.ICMP, Payload: packettest.Pattern(64)}.Build())
			}
		})
	}
	if err := l.run(); err == nil {
		t.Error("the lane ended without an error")
	}
	equal, back := slices.Index(s.log, "plain"), slices.Index(s.log, "normal")
	if equal < 0 || equal > flood || slices.Index(s.log[equal:], "express") < 0 {
		t.Errorf("equal at event %d, ordinary at %d: %v", equal, back, s.log)
	}
}
