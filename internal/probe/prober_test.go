// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPathStatesFollowWhatBecomesOfProbes(t *testing.T) {
	refused := errors.New("operation not permitted")
	for _, c := range []struct {
		name  string
		peer  peer
		after time.Duration
		want  Result
	}{
		{"all is answered", peer{delay: 3 * time.Millisecond}, time.Second, Result{State: Works, RTT: 3 * time.Millisecond, Size: 1472}},
		{"nothing is answered, but it has just begun", peer{deaf: true}, grace - time.Second, Result{State: Unproven}},
		{"nothing is answered", peer{deaf: true}, grace + 2*time.Second, Result{State: Failed}},
		{"large packets are lost", peer{largest: 1000}, 10 * time.Second, Result{State: SmallOnly, Size: smallSize, Tried: 1472}},
		{"the kernel knows a narrow path", peer{fits: 1172}, 10 * time.Second, Result{State: Works, Size: 1172, Tried: 1472}},
		{"echo requests are ignored", peer{noEcho: true, delay: time.Millisecond}, 15 * time.Second,
			Result{State: Works, RTT: time.Millisecond, Size: 1472, ForwardsOnly: true}},
		{"the kernel has another address", peer{second: true, delay: time.Millisecond}, time.Second, Result{State: Works, RTT: time.Millisecond, Size: 1472}},
		{"echo requests are ignored, and nothing is forwarded", peer{noEcho: true, noForward: true}, 15 * time.Second, Result{State: Failed}},
		{"nothing is forwarded", peer{noForward: true}, 15 * time.Second, Result{State: Works, Size: 1472}},
		{"this host's kernel refuses", peer{refuse: refused}, 15 * time.Second, Result{State: Failed, Refused: refused}},
		{"slower than an answer is waited for", peer{delay: 1500 * time.Millisecond}, 30 * time.Second,
			Result{State: Works, RTT: 1500 * time.Millisecond, Size: 1472}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := begin(t, &c.peer)
				time.Sleep(c.after)
				synctest.Wait()
				got := w.result(&c.peer)
				if got.State != c.want.State || got.RTT != c.want.RTT || got.Size != c.want.Size || got.ForwardsOnly != c.want.ForwardsOnly ||
					!errors.Is(got.Refused, c.want.Refused) || c.want.Tried > 0 && got.Tried != c.want.Tried {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
			})
		})
	}
}

// A peer that answers no echo request takes large packets for all that. It is
// never said to lose them.
func TestPeerThatIgnoresEchoRequestsIsNotSaidToTakeSmallPacketsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{noEcho: true, delay: time.Millisecond}
		w := begin(t, p)
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			if r := w.result(p); r.State == SmallOnly {
				t.Fatalf("%+v", r)
			}
		}
		if r := w.result(p); r.State != Works || !r.Full {
			t.Errorf("%+v", r)
		}
	})
}

// A peer that stops answering echo requests, at rest, is known for one that
// only forwards as soon as a cut would be.
func TestPeerThatStopsAnsweringPingsIsKnownInTime(t *testing.T) {
	for range 20 { // pauses are spread
		synctest.Test(t, func(t *testing.T) {
			p := &peer{delay: time.Millisecond}
			w := begin(t, p)
			time.Sleep(time.Minute)
			w.set(func() { p.noEcho = true })
			for range 150 {
				time.Sleep(100 * time.Millisecond)
				if r := w.result(p); r.State != Works {
					t.Fatalf("%+v", r)
				}
			}
			if r := w.result(p); !r.ForwardsOnly {
				t.Errorf("after 15 s: %+v", r)
			}
		})
	}
}

// A path that breaks under traffic is left within five seconds, one that is
// idle within fifteen; either is believed again soon after it heals.
func TestBreaksAndRecoveriesAreNoticedInTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		hurt   func(*peer)
		busy   bool
		within time.Duration
		state  State
	}{
		{"cut under traffic", func(p *peer) { p.deaf = true }, true, 5 * time.Second, Failed},
		{"cut at rest", func(p *peer) { p.deaf = true }, false, 15 * time.Second, Failed},
		{"large packets cut under traffic", func(p *peer) { p.largest = 500 }, true, 12 * time.Second, SmallOnly},
		{"large packets cut at rest", func(p *peer) { p.largest = 500 }, false, 45 * time.Second, SmallOnly},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{delay: time.Millisecond}
				w := begin(t, p)
				flow := func(d time.Duration) {
					for range d / (100 * time.Millisecond) {
						w.set(func() {
							if c.busy {
								p.egress++
							}
						})
						time.Sleep(100 * time.Millisecond)
					}
				}
				flow(time.Minute)
				if r := w.result(p); r.State != Works {
					t.Fatalf("before: %+v", r)
				}
				w.set(func() { c.hurt(p) })
				flow(c.within)
				if r := w.result(p); r.State != c.state {
					t.Errorf("%v after: %+v", c.within, r)
				}
				flow(time.Minute)
				if r := w.result(p); r.State != c.state {
					t.Errorf("a minute after: %+v", r)
				}
				w.set(func() { p.deaf, p.largest = false, 0 })
				flow(6 * time.Second)
				if r := w.result(p); r.State != Works {
					t.Errorf("healed: %+v", r)
				}
			})
		})
	}
}

func TestOneLostProbeIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{delay: time.Millisecond}
		w := begin(t, p)
		time.Sleep(time.Minute)
		for range 20 {
			w.set(func() { p.deaf = true })
			time.Sleep(time.Second + answerTime)
			w.set(func() { p.deaf = false })
			time.Sleep(3 * time.Second)
			if r := w.result(p); r.State != Works {
				t.Fatalf("got %+v", r)
			}
		}
	})
}

// All that probes cost, with the answers and with what the others probe here,
// stays below 10 kB/s.
func TestAThousandPeersCostLessThanTenKilobytesASecond(t *testing.T) {
	for _, n := range []int{1, 10, 100, 1000} {
		synctest.Test(t, func(t *testing.T) {
			peers := make([]*peer, n)
			for i := range peers {
				peers[i] = &peer{delay: time.Millisecond}
			}
			w := begin(t, peers...)
			time.Sleep(2 * time.Minute) // all are proven by then
			_, before := w.totals()
			const window = 10 * time.Minute
			time.Sleep(window)
			_, after := w.totals()
			const parts = 4 // ours and their answers, those of others and our answers
			rate := float64(after-before) * parts / window.Seconds()
			t.Logf("%d peers: %.0f B/s", n, rate)
			if rate > 10_000 {
				t.Errorf("%d peers cost %.0f B/s", n, rate)
			}
			for _, p := range peers {
				if r := w.result(p); r.State != Works || r.Size != 1472 {
					t.Fatalf("got %+v", r)
				}
			}
		})
	}
}

// Half of a thousand peers die at once: what is sent to them stays bounded,
// too.
func TestManyDeadPeersAreProbedAtABoundedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peers := make([]*peer, 1000)
		for i := range peers {
			peers[i] = &peer{deaf: i%2 == 0, delay: time.Millisecond}
		}
		w := begin(t, peers...)
		time.Sleep(5 * time.Minute)
		_, before := w.totals()
		time.Sleep(time.Minute)
		if _, after := w.totals(); (after-before)/60 > 5000 {
			t.Errorf("%d B/s are sent", (after-before)/60)
		}
	})
}

func TestArrivingTellsTheDirectionThatIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there, silent := &peer{deaf: true}, &peer{deaf: true}
		w := begin(t, there, silent)
		for range 60 {
			w.set(func() { there.ingress++ })
			time.Sleep(time.Second)
		}
		if r := w.result(there); r.State != Failed || !r.Arriving {
			t.Errorf("its packets come: %+v", r)
		}
		if r := w.result(silent); r.State != Failed || r.Arriving {
			t.Errorf("nothing comes: %+v", r)
		}
	})
}

func TestWhatIsKnownStaysWithATarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{delay: time.Millisecond}
		w := begin(t, p)
		time.Sleep(time.Minute)
		sent := w.result(p).Sent
		target := w.prober.paths[p.lease.String()].Target
		w.prober.Aim([]Target{target})
		if r := w.result(p); r.State != Works || r.Sent != sent {
			t.Errorf("aimed again: %+v", r)
		}
		target.Endpoint = netip.MustParseAddrPort("192.0.0.0:9999")
		w.set(func() { w.peers[target.Endpoint] = &peer{deaf: true} })
		w.prober.Aim([]Target{target})
		if r := w.result(p); r.State != Unproven {
			t.Errorf("at another endpoint: %+v", r)
		}
		w.prober.Aim(nil)
		if all := w.prober.paths; len(all) != 0 {
			t.Errorf("without targets: %+v", all)
		}
	})
}

// A program that sees no probes cannot answer them, and one peer cannot answer
// for another.
func TestForgedAnswersProveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{deaf: true}
		w := begin(t, p)
		time.Sleep(100 * time.Millisecond)
		tk := w.prober.token
		w.prober.mu.Lock()
		flying := slices.Collect(maps.Keys(w.prober.flights))
		w.prober.mu.Unlock()
		if len(flying) == 0 {
			t.Fatal("no probe is under way")
		}
		for _, sequence := range flying {
			r := request{source: self, destination: p.lease.Addr(), sequence: sequence, ttl: plainTTL, size: smallSize}
			stranger := token{id: tk.id, cookie: [cookieLen]byte{1}}
			if w.prober.Answer(p.answer(stranger.build(r))) {
				t.Fatal("an answer without the cookie was taken")
			}
			other := &peer{lease: netip.MustParsePrefix("10.99.0.0/24")}
			r.destination = other.lease.Addr()
			if !w.prober.Answer(other.answer(tk.build(r))) {
				t.Fatal("an answer of another peer is not even recognized")
			}
			synctest.Wait()
		}
		if r := w.result(p); r.State != Unproven {
			t.Errorf("got %+v", r)
		}
	})
}
