// SPDX-License-Identifier: Apache-2.0

package route

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"flanneld/encap/encaptest"
	"flanneld/internal/packet"
	"flanneld/internal/packet/packettest"
	"flanneld/tun"
	"flanneld/tun/tuntest"
)

// script is the traffic during a lane's pauses, one after the other. It has a
// log of the pauses and of the lane's requests.
type script struct {
	stages []func()
	log    []string
	refuse bool
}

func (s *script) Wait(int, time.Duration) error {
	s.log = append(s.log, "wait")
	return s.next()
}

func (s *script) Sleep(time.Duration) {
	s.log = append(s.log, "sleep")
	_ = s.next()
}

// next is errDone once everything has come.
func (s *script) next() error {
	if len(s.stages) == 0 {
		return errDone
	}
	s.stages[0]()
	s.stages = s.stages[1:]
	return nil
}

func (s *script) Rest(time.Duration, int) error {
	s.log = append(s.log, "rest")
	return s.next()
}

func (s *script) setPriority(p Priority) bool {
	s.log = append(s.log, [...]string{"plain", "normal", "batch", "express"}[p-PriorityPlain])
	return !s.refuse
}

// scriptedLane is a lane with pauses that follow s.
func scriptedLane(tb testing.TB, s *script) (*lane, *tuntest.Queue, *encaptest.Conn) {
	q, c := tuntest.NewQueueFunc(func([]byte) error { return nil }), encaptest.NewConn()
	cfg := testConfig(tb, Lane{Queue: q, Conn: c, Waiter: s})
	cfg.SetPriority = s.setPriority
	f, err := NewForwarder(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return f.lanes[0], q, c
}

func TestLaneGathersAmidBulkTraffic(t *testing.T) {
	super := func(q *tuntest.Queue, n int) {
		for range n {
			q.FeedSuperpacket(tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(62000)).Build(), 1400)
		}
	}
	trains := func(c *encaptest.Conn, n int) {
		sent := tcpSpec("10.244.1.5", packet.FlagDF, packettest.Pattern(44*1400))
		sent.Src = "10.244.2.5"
		train := slices.Concat(segmentsOf(t, sent.Build(), 1400)...)
		for range n {
			c.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: train, SegmentSize: 1440})
		}
	}
	quiet := make([]string, maxIdleRounds)
	for i := range quiet {
		quiet[i] = "sleep"
	}
	for _, test := range []struct {
		name   string
		refuse bool
		come   func(*tuntest.Queue, *encaptest.Conn)
		pauses int // without anything, before the end
		want   []string
	}{
		{"packets", false, func(q *tuntest.Queue, _ *encaptest.Conn) {
			for range 2 * egressBatch {
				q.Feed(packettest.Spec{Payload: packettest.Pattern(1400)}.Build())
			}
		}, 0, []string{"wait", "wait"}},
		{"one superpacket", false, func(q *tuntest.Queue, _ *encaptest.Conn) { super(q, 1) }, 0, []string{"wait", "wait"}},
		{"superpackets", false, func(q *tuntest.Queue, _ *encaptest.Conn) { super(q, 2) }, 1 + maxIdleRounds,
			slices.Concat([]string{"wait", "batch", "sleep"}, quiet, []string{"normal", "wait"})},
		{"trains", false, func(_ *tuntest.Queue, c *encaptest.Conn) { trains(c, 2) }, 1 + maxIdleRounds,
			slices.Concat([]string{"wait", "batch", "sleep"}, quiet, []string{"normal", "wait"})},
		{"refused", true, func(q *tuntest.Queue, _ *encaptest.Conn) { super(q, 2) }, 0, []string{"wait", "batch", "wait"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &script{refuse: test.refuse}
			l, q, c := scriptedLane(t, s)
			q.SetOffloads(tun.Offloads{Checksum: true, TCP: true})
			s.stages = []func(){func() { test.come(q, c) }}
			for range test.pauses {
				s.stages = append(s.stages, func() {})
			}
			if err := l.run(); err == nil {
				t.Error("the lane ended without an error")
			}
			if !slices.Equal(s.log, test.want) {
				t.Errorf("%v\nwant %v", s.log, test.want)
			}
		})
	}
}

func TestLaneStaysUrgentThroughShortLulls(t *testing.T) {
	s := new(script)
	l, q, _ := scriptedLane(t, s)
	burst := func(n int) func() {
		return func() {
			for range n {
				q.FeedSuperpacket(tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(62000)).Build(), 1400)
			}
		}
	}
	for _, n := range []int{2, 1, 1, 2, 1} {
		s.stages = append(s.stages, burst(n))
		for range maxIdleRounds {
			s.stages = append(s.stages, func() {})
		}
	}
	if err := l.run(); err == nil {
		t.Error("the lane ended without an error")
	}
	ordinary := slices.Index(s.log, "normal")
	if want := 2 + 5*(1+maxIdleRounds); ordinary != want {
		t.Errorf("ordinary after %d events, want %d: %v", ordinary, want, s.log)
	}
}

// Requests and responses, however many, are no stream: each would wait for the
// end of a sleep.
func TestLaneIsOrdinaryAfterAStreamAmidSmallPackets(t *testing.T) {
	s := new(script)
	l, q, _ := scriptedLane(t, s)
	s.stages = []func(){func() {
		for range 2 {
			q.FeedSuperpacket(tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(62000)).Build(), 1400)
		}
	}}
	for range 2 * maxIdleRounds {
		s.stages = append(s.stages, func() { q.Feed(tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(10)).Build()) }) // of the same flow
	}
	if err := l.run(); err == nil {
		t.Error("the lane ended without an error")
	}
	if ordinary := slices.Index(s.log, "normal"); ordinary != 2+1+maxIdleRounds {
		t.Errorf("ordinary after %d events, want %d: %v", ordinary, 2+1+maxIdleRounds, s.log)
	}
}

// A lane that never pauses must not keep a core to itself.
func TestLaneWithoutPauseIsUrgentNoMore(t *testing.T) {
	s := new(script)
	l, q, _ := scriptedLane(t, s)
	s.stages = []func(){
		func() {
			for range 2 {
				q.FeedSuperpacket(tcpSpec("10.244.2.5", packet.FlagDF, packettest.Pattern(62000)).Build(), 1400)
			}
		},
		func() {
			p := packettest.Spec{Payload: packettest.Pattern(10)}.Build()
			for range maxBusyRounds * egressBatch {
				q.Feed(slices.Clone(p))
			}
		},
		func() {},
	}
	if err := l.run(); err == nil {
		t.Error("the lane ended without an error")
	}
	if want := []string{"wait", "batch", "sleep", "normal", "wait", "wait"}; !slices.Equal(s.log, want) {
		t.Errorf("%v\nwant %v", s.log, want)
	}
	if n := l.egress.counters.traffic.packets.Load(); n < maxBusyRounds*egressBatch {
		t.Errorf("%d packets were sent", n)
	}
}

// expressLane is scriptedLane with an express one that has been at rest.
func expressLane(tb testing.TB, s *script) (*lane, *tuntest.Queue, *encaptest.Conn) {
	l, q, c := scriptedLane(tb, s)
	l.Express, l.sparseRounds = true, maxIdleRounds
	return l, q, c
}

func TestExpressLaneIsForemostForSparseFlows(t *testing.T) {
	ping := func(q *tuntest.Queue) {
		q.Feed(packettest.Spec{Protocol: packet.ICMP, Payload: packettest.Pattern(64)}.Build())
	}
	for _, test := range []struct {
		name   string
		refuse bool
		want   []string
	}{
		{"allowed", false, []string{"express", "rest", "rest", "rest", "rest"}},
		{"refused", true, []string{"express", "wait", "wait", "wait", "wait"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &script{refuse: test.refuse}
			l, q, c := expressLane(t, s)
			for range 3 {
				s.stages = append(s.stages, func() { ping(q) })
			}
			if err := l.run(); err == nil {
				t.Error("the lane ended without an error")
			}
			if !slices.Equal(s.log, test.want) {
				t.Errorf("%v\nwant %v", s.log, test.want)
			}
			for _, d := range c.Sent(3) {
				if !d.Express {
					t.Error("a ping did not leave as express")
				}
			}
		})
	}
}

// A bulk flow that the kernel has given to the express lane's queue is not to
// have the core before all other threads.
func TestExpressLaneAmidBulkFlowsIsLikeOthers(t *testing.T) {
	s := new(script)
	l, q, c := expressLane(t, s)
	const packets = 2 * sparseBurst / packetCost
	s.stages = []func(){func() {
		p := packettest.Spec{Payload: packettest.Pattern(10)}.Build()
		for range packets {
			q.Feed(slices.Clone(p))
		}
	}}
	for range maxIdleRounds + 1 {
		s.stages = append(s.stages, func() {})
	}
	if err := l.run(); err == nil {
		t.Error("the lane ended without an error")
	}
	quiet := slices.Repeat([]string{"wait"}, 1+maxIdleRounds)
	want := slices.Concat([]string{"express", "rest", "normal"}, quiet, []string{"express", "rest"})
	if !slices.Equal(s.log, want) {
		t.Errorf("%v\nwant %v", s.log, want)
	}
	sent := c.Sent(packets)
	express := 0
	for i, d := range sent {
		if d.Express {
			express++
			if !sent[max(0, i-1)].Express {
				t.Fatalf("packet %d is express again", i)
			}
		}
	}
	if express == 0 || express > sparseBurst/packetCost {
		t.Errorf("%d of %d packets left as express", express, packets)
	}
}

// What peers send makes a flow bulk, too: the acknowledgments of a stream go
// the way of the stream.
func TestAnswersToABulkFlowAreNotExpress(t *testing.T) {
	s := new(script)
	l, q, c := scriptedLane(t, s)
	sent := tcpSpec("10.244.1.5", packet.FlagDF, packettest.Pattern(44*1400))
	sent.Src = "10.244.2.5"
	train := slices.Concat(segmentsOf(t, sent.Build(), 1400)...)
	answer := tcpSpec("10.244.2.5", packet.FlagDF, nil).Build()
	// tcpSpec's ports are the same in both directions' packets.
	s.stages = []func(){
		func() { q.Feed(slices.Clone(answer)) },
		func() {
			for range 3 {
				c.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: train, SegmentSize: 1440})
			}
		},
		func() { q.Feed(slices.Clone(answer)) },
	}
	if err := l.run(); err == nil {
		t.Error("the lane ended without an error")
	}
	if got := c.Sent(2); !got[0].Express || got[1].Express {
		t.Errorf("before the stream express %v, amid it %v", got[0].Express, got[1].Express)
	}
}

func TestPauseAllocatesNothing(t *testing.T) {
	l, _, _ := scriptedLane(t, new(script))
	l.Waiter = make(wakeup)
	l.setPriority = func(Priority) bool { return true }
	allocs := testing.AllocsPerRun(100, func() {
		l.egress.load, l.busyRounds = load{packets: 2, bytes: 2 * bulkBytes}, maxBusyRounds-1
		if err := l.pause(); err != nil || l.priority != PriorityBatch {
			t.Fatalf("priority %v, %v", l.priority, err)
		}
		l.busyRounds = maxBusyRounds - 1
		l.carryOn()
	})
	if allocs != 0 || l.priority != PriorityNormal {
		t.Errorf("%v allocations, want none; priority %v", allocs, l.priority)
	}
}
