// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"
)

// hub makes a node with sessions to n others. Each is used by one stream out,
// and by two in: the slow path's and a lane's.
func hub(t testing.TB, n int) (*world, *host) {
	w := newWorld(t, 1)
	a := w.add(nil)
	for i := range n {
		b := w.add(nil)
		w.meet(a, b)
		b.send(a, 0, "x")
		if i%totalRate == totalRate-1 {
			w.now = w.now.Add(time.Second) // no cookies
		}
		w.settle()
		a.send(b, 0, "y")
		w.settle()
		b.send(a, 0, "z")
		w.settle()
		b.got = nil
	}
	if used := a.index.Load().used; used != n {
		t.Fatalf("%d sessions, want %d", used, n)
	}
	return w, a
}

// TestManyPeersTakeLittle: each session fits into 10 KB. The node sleeps until
// it has something to do, and gives back what the sessions took.
func TestManyPeersTakeLittle(t *testing.T) {
	const peers, limit = 200, 10 << 10 // bytes a session
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	w, a := hub(t, peers)
	w.nodes = w.nodes[:1] // the others go
	clear(a.peers)
	before, start, ticks, emitted := heap(), w.now, 0, 0
	for next := a.Next(); !next.IsZero(); next = a.Next() {
		if next.After(w.now) {
			w.now = next
		}
		a.Tick(w.now, func(*Peer, []byte) { emitted++ })
		ticks++
	}
	each := (before - heap()) / peers
	t.Logf("%d bytes a session", each)
	if each > limit || each < 1000 {
		t.Errorf("a session takes %d bytes, want at most %d", each, limit)
	}
	// A keepalive for each at most; a sweep every 5 seconds; one expiry each.
	if took := w.now.Sub(start); ticks > peers+50 || emitted > peers || took > refuseAfter+sweepEvery {
		t.Errorf("%d ticks and %d datagrams in %v until all sessions have ended", ticks, emitted, took)
	}
	if a.index.Load().used != 0 || len(a.timers) != 0 {
		t.Errorf("%d sessions and %d timers are left", a.index.Load().used, len(a.timers))
	}
	runtime.KeepAlive(a)
}

func BenchmarkTickWithThousandPeers(b *testing.B) {
	w, a := hub(b, 1000)
	for b.Loop() {
		a.sweepAt = w.now
		a.Tick(w.now, func(*Peer, []byte) {})
	}
}

// BenchmarkHandshake is the time of both sides together, from message 1 to the
// keepalive.
func BenchmarkHandshake(b *testing.B) {
	for _, suite := range []Suite{AESGCM, ChaChaPoly} {
		b.Run(suite.String(), func(b *testing.B) {
			w := newWorld(b, 1)
			x, y := w.add(func(c *Config) { c.Suites = []Suite{suite} }), w.add(nil)
			w.meet(x, y)
			for b.Loop() {
				w.now = w.now.Add(time.Second)
				if s := x.peers[y].current.Load(); s != nil {
					s.worn.Store(true)
				}
				x.peers[y].ask()
				w.settle()
			}
			if uint64(b.N) != x.peers[y].counts.handshakes {
				b.Errorf("%d handshakes of %d", x.peers[y].counts.handshakes, b.N)
			}
		})
	}
}

// BenchmarkRefusedInitiation is what a datagram costs that a stranger sends,
// and one that a member has sent before.
func BenchmarkRefusedInitiation(b *testing.B) {
	w, x, y := pair(b)
	x.send(y, 0, "x")
	w.tick()
	replay := w.flight[0].bytes
	w.settle()
	stranger := append([]byte(nil), replay...)
	stranger[initiationSize-2*macSize]++
	for want, message := range map[Reason][]byte{WrongClusterKey: stranger, Stale: replay} {
		b.Run(want.String(), func(b *testing.B) {
			for b.Loop() {
				w.now = w.now.Add(time.Second)
				if got := y.Handle(w.now, x.at, message, y.emit); got != want {
					b.Fatal(got)
				}
			}
		})
	}
}

func benchmarkSizes(b *testing.B, f func(b *testing.B, w *world, from, to *host, size int)) {
	for _, suite := range []Suite{AESGCM, ChaChaPoly} {
		for _, size := range []int{64, 1400} {
			b.Run(fmt.Sprintf("%v/%d", suite, size), func(b *testing.B) {
				w := newWorld(b, 1)
				x, y := w.add(func(c *Config) { c.Suites = []Suite{suite} }), w.add(nil)
				w.meet(x, y)
				w.connect(x, y)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				f(b, w, x, y, size)
			})
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, w *world, from, to *host, size int) {
		st := from.peers[to].Sending(0, w.now)
		d := make([]byte, Overhead+size)
		for b.Loop() {
			st.Seal(d)
		}
	})
}

// BenchmarkOpen opens trains of 32 datagrams. An operation is one datagram.
func BenchmarkOpen(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, w *world, from, to *host, size int) {
		const n = 32
		st := from.peers[to].Sending(0, w.now)
		whole := Overhead + size
		all := make([]byte, n*whole)
		var out [MaxTrain]Opened
		for i := 0; b.Loop(); i++ {
			if i%n == 0 {
				b.StopTimer()
				for j := range n {
					st.Seal(all[j*whole:][:whole])
				}
				b.StartTimer()
				if to.Open(w.now, all, whole, &out); out[n-1].Reason != OK {
					b.Fatal(out[n-1].Reason)
				}
			}
		}
	})
}

// BenchmarkOpenForged opens single datagrams that no node sealed.
func BenchmarkOpenForged(b *testing.B) {
	benchmarkSizes(b, func(b *testing.B, w *world, from, to *host, size int) {
		st := from.peers[to].Sending(0, w.now)
		d := make([]byte, Overhead+size)
		st.Seal(d)
		var out [MaxTrain]Opened
		for b.Loop() {
			d[len(d)-1]++
			if to.Open(w.now, d, 0, &out); out[0].Reason != Forged {
				b.Fatal(out[0].Reason)
			}
		}
	})
}

// TestEagerHandshakesAreSpread: a node that starts in a large network begins
// with each peer within seconds, and with a few at a time. Peers that do not
// answer are asked again without falling into step.
func TestEagerHandshakesAreSpread(t *testing.T) {
	const (
		peers  = 256
		window = 100 * time.Millisecond
		most   = 80 // in a window: 16 ms of a processor
	)
	w := newWorld(t, 1)
	a := w.add(func(c *Config) { c.Self = NodeID{0x80} })
	for i := range peers {
		id := NodeID{byte(i), 1}
		a.SetPeer(w.now, PeerInfo{ID: id, Key: PrivateKey{byte(i), 1}.Public(), Instance: 1, Eager: true})
	}
	start, first, windows := w.now, map[NodeID]time.Duration{}, map[time.Duration]int{}
	for w.now.Sub(start) < 8*time.Second {
		a.Tick(w.now, func(p *Peer, _ []byte) {
			since := w.now.Sub(start)
			if _, ok := first[p.id]; !ok {
				first[p.id] = since
			}
			windows[since/window]++
		})
		w.now = w.now.Add(window / 10)
	}
	if len(first) != peers {
		t.Fatalf("%d peers of %d got a message", len(first), peers)
	}
	for at, n := range windows {
		if n > most {
			t.Errorf("%d messages within %v, %v after the start", n, window, at*window)
		}
	}
	latest := time.Duration(0)
	for _, at := range first {
		latest = max(latest, at)
	}
	if limit := eagerEach*peers + eagerLater + window; latest > limit {
		t.Errorf("the last peer got a message after %v, want %v", latest, limit)
	}
	t.Logf("at most %d messages within %v, the last peer after %v", slices.Max(slices.Collect(maps.Values(windows))), window, latest)
}
