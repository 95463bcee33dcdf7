package route

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"flanneld/encap/encaptest"
	"flanneld/tun"
	"flanneld/tun/tuntest"
)

// script is what comes during a lane's pauses, one after the other, and a log of
// the pauses and of what was asked for on the lane's behalf.
type script struct {
	stages []func()
	log    []string
	refuse bool
}

func (s *script) Wait() error {
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

func (s *script) hurry(on bool) bool {
	s.log = append(s.log, map[bool]string{true: "urgent", false: "calm"}[on])
	return !s.refuse
}

// scriptedLane is a lane whose pauses follow s.
func scriptedLane(tb testing.TB, s *script) (*lane, *tuntest.Queue, *encaptest.Conn) {
	q, c := tuntest.NewQueueFunc(func([]byte) error { return nil }), encaptest.NewConn()
	cfg := testConfig(tb, Lane{Queue: q, Conn: c, Waiter: s})
	cfg.Hurry = s.hurry
	f, err := NewForwarder(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return f.lanes[0], q, c
}

func TestLaneGathersAmidBulkTraffic(t *testing.T) {
	super := func(q *tuntest.Queue, n int) {
		for range n {
			q.FeedSuperpacket(tcpSpec("10.244.2.5", flagDF, pattern(62000)).build(), 1400)
		}
	}
	trains := func(c *encaptest.Conn, n int) {
		sent := tcpSpec("10.244.1.5", flagDF, pattern(44*1400))
		sent.src = "10.244.2.5"
		train := slices.Concat(segmentsOf(t, sent.build(), 1400)...)
		for range n {
			c.Deliver(encaptest.Datagram{Addr: netip.MustParseAddrPort("192.0.2.2:8285"), Payload: train, SegmentSize: 1440})
		}
	}
	quiet := make([]string, maxLulls)
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
				q.Feed(spec{payload: pattern(1400)}.build())
			}
		}, 0, []string{"wait", "wait"}},
		{"one superpacket", false, func(q *tuntest.Queue, _ *encaptest.Conn) { super(q, 1) }, 0, []string{"wait", "wait"}},
		{"superpackets", false, func(q *tuntest.Queue, _ *encaptest.Conn) { super(q, 2) }, 1 + maxLulls,
			slices.Concat([]string{"wait", "urgent", "sleep"}, quiet, []string{"calm", "wait"})},
		{"trains", false, func(_ *tuntest.Queue, c *encaptest.Conn) { trains(c, 2) }, 1 + maxLulls,
			slices.Concat([]string{"wait", "urgent", "sleep"}, quiet, []string{"calm", "wait"})},
		{"refused", true, func(q *tuntest.Queue, _ *encaptest.Conn) { super(q, 2) }, 0, []string{"wait", "urgent", "wait"}},
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
				q.FeedSuperpacket(tcpSpec("10.244.2.5", flagDF, pattern(62000)).build(), 1400)
			}
		}
	}
	for _, n := range []int{2, 1, 1, 2, 1} {
		s.stages = append(s.stages, burst(n))
		for range maxLulls {
			s.stages = append(s.stages, func() {})
		}
	}
	if err := l.run(); err == nil {
		t.Error("the lane ended without an error")
	}
	calm := slices.Index(s.log, "calm")
	if want := 2 + 5*(1+maxLulls); calm != want {
		t.Errorf("calm after %d events, want %d: %v", calm, want, s.log)
	}
}

// Who never pauses must not keep a core to itself.
func TestLaneWithoutPauseIsUrgentNoMore(t *testing.T) {
	s := new(script)
	l, q, _ := scriptedLane(t, s)
	s.stages = []func(){
		func() {
			for range 2 {
				q.FeedSuperpacket(tcpSpec("10.244.2.5", flagDF, pattern(62000)).build(), 1400)
			}
		},
		func() {
			p := spec{payload: pattern(10)}.build()
			for range patience * egressBatch {
				q.Feed(slices.Clone(p))
			}
		},
		func() {},
	}
	if err := l.run(); err == nil {
		t.Error("the lane ended without an error")
	}
	if want := []string{"wait", "urgent", "sleep", "calm", "wait", "wait"}; !slices.Equal(s.log, want) {
		t.Errorf("%v\nwant %v", s.log, want)
	}
	if n := l.egress.counters.traffic.packets.Load(); n < patience*egressBatch {
		t.Errorf("%d packets were sent", n)
	}
}

func TestPauseAllocatesNothing(t *testing.T) {
	l, _, _ := scriptedLane(t, new(script))
	l.Waiter = make(wakeup)
	l.hurry = func(bool) bool { return true }
	allocs := testing.AllocsPerRun(100, func() {
		l.egress.bulk, l.rounds = 2*bulkBytes, patience-1
		if err := l.pause(); err != nil || !l.urgent {
			t.Fatalf("urgent %v, %v", l.urgent, err)
		}
		l.rounds = patience - 1
		l.carryOn()
	})
	if allocs != 0 || l.urgent {
		t.Errorf("%v allocations, want none; urgent %v", allocs, l.urgent)
	}
}
