// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/packet"
)

// gate is a kernel between the overlay and a bridge.
type gate struct {
	mu      sync.Mutex
	closed  bool
	rejects byte // the ICMP code to reject with; 0: drops
	taken   bool // a container has every address
	bridge  string
	tried   map[netip.Addr]int
	next    netip.Addr
	c       *Crossing
}

func (g *gate) set(f func()) { g.mu.Lock(); defer g.mu.Unlock(); f() }

func (g *gate) pick() []Beyond {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.bridge == "" {
		return nil
	}
	g.next = g.next.Next()
	return []Beyond{{g.next, g.bridge}}
}

func (g *gate) send(p []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	to := netip.AddrFrom4([4]byte(p[16:20]))
	g.tried[to]++
	host := netip.MustParseAddr("10.244.1.0")
	answer := func(after time.Duration, b []byte) { time.AfterFunc(after, func() { g.c.Answer(b) }) }
	switch {
	case g.closed && g.rejects != 0:
		answer(0, icmpError(host, packet.ICMPUnreachable, g.rejects, p))
	case g.closed:
	case g.taken:
		answer(time.Millisecond, (&peer{lease: netip.PrefixFrom(to, 32)}).answer(p))
	default:
		answer(3*time.Second, icmpError(host, packet.ICMPUnreachable, hostUnreachable, p))
	}
	return nil
}

func TestCrossingTellsWhatFiltersDo(t *testing.T) {
	for _, taken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{tried: map[netip.Addr]int{}, next: netip.MustParseAddr("10.244.1.100"), taken: taken}
			changes := 0
			g.c = NewCrossing(CrossingConfig{Source: netip.MustParseAddr("10.244.0.1"), Pick: g.pick, Send: g.send, Changed: func() { changes++ }})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { g.c.Run(ctx); close(done) }()
			defer func() { cancel(); <-done }()

			for _, step := range []struct {
				name   string
				change func()
				hurry  bool
				after  time.Duration
				want   CrossingState
			}{
				{"no bridge", func() {}, false, time.Minute, NotTried},
				{"a bridge", func() { g.bridge = "docker0" }, false, crossingIdle + crossingTime, Crosses},
				{"rules that drop", func() { g.closed = true }, true, crossingApart + 2*crossingTime + crossingAgain, Dropped},
				{"a minute later", func() {}, false, time.Minute, Dropped},
				{"lifted", func() { g.closed = false }, false, crossingTime + crossingAgain + crossingTime, Crosses},
				{"rules that reject, without notice", func() { g.closed, g.rejects = true, 13 }, false, crossingRest + 3*crossingAgain, Forbidden},
				{"lifted again", func() { g.closed = false }, true, crossingTime + crossingAgain + crossingTime, Crosses},
				{"the bridge goes", func() { g.bridge = "" }, false, crossingRest + time.Second, NotTried},
			} {
				g.set(step.change)
				if step.hurry {
					g.c.TrySoon()
				}
				time.Sleep(step.after)
				synctest.Wait()
				got := NotTried
				if all := g.c.States(); len(all) > 0 {
					got = all[0].State
				}
				if got != step.want {
					t.Errorf("%s: state %d, want %d", step.name, got, step.want)
				}
			}
			if changes != 6 {
				t.Errorf("%d changes were told, want 6", changes)
			}
			for a, n := range g.tried {
				if n > 1 {
					t.Errorf("%s was tried %d times", a, n)
				}
			}
		})
	}
}

// Rules may stop packets to one bridge alone. Each is tried, and told of by
// itself.
func TestCrossingKnowsEachBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		closed, next := map[netip.Prefix]bool{}, byte(130)
		bridges := map[string]netip.Prefix{"br-web": netip.MustParsePrefix("10.244.1.128/25"), "docker0": netip.MustParsePrefix("10.244.1.0/25")}
		names := []string{"docker0", "br-web"}
		var c *Crossing
		c = NewCrossing(CrossingConfig{
			Source: netip.MustParseAddr("10.244.0.1"),
			Pick: func() (all []Beyond) {
				mu.Lock()
				defer mu.Unlock()
				next++
				for _, name := range names {
					a := bridges[name].Addr().As4()
					a[3] |= next % 100
					all = append(all, Beyond{netip.AddrFrom4(a), name})
				}
				return all
			},
			Send: func(p []byte) error {
				mu.Lock()
				defer mu.Unlock()
				to := netip.AddrFrom4([4]byte(p[16:20]))
				for _, prefix := range bridges {
					if prefix.Contains(to) && !closed[prefix] {
						answer := (&peer{lease: netip.PrefixFrom(to, 32)}).answer(p)
						time.AfterFunc(time.Millisecond, func() { c.Answer(answer) })
					}
				}
				return nil
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		defer func() { cancel(); <-done }()
		for _, step := range []struct {
			name   string
			change func()
			want   []BridgeState
		}{
			{"all is well", func() {}, []BridgeState{{"docker0", Crosses}, {"br-web", Crosses}}},
			{"rules that drop", func() { closed[bridges["br-web"]] = true }, []BridgeState{{"docker0", Crosses}, {"br-web", Dropped}}},
			{"the other way round", func() { closed = map[netip.Prefix]bool{bridges["docker0"]: true} }, []BridgeState{{"docker0", Dropped}, {"br-web", Crosses}}},
			{"the bridge goes", func() { names = names[1:] }, []BridgeState{{"br-web", Crosses}}},
		} {
			mu.Lock()
			step.change()
			mu.Unlock()
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := c.States(); !slices.Equal(got, step.want) {
				t.Errorf("%s: %+v, want %+v", step.name, got, step.want)
			}
		}
	})
}
