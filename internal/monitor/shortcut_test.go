// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/plan"
	"flanneld/internal/probe"
	"flanneld/route"
)

// shortcutTo is the short-cut to the first peer.
func (l *laboratory) shortcutTo() plan.Shortcut {
	r, _ := l.routes.Plan().Find(l.snapshot.Nodes[1].Lease.Prefix)
	return r.Shortcut()
}

// takes waits until packets to the first peer take the short-cut, or take it no
// more.
func (l *laboratory) takes(want bool, within time.Duration, when string) {
	l.t.Helper()
	began := time.Now()
	for l.shortcutTo().Used != want && time.Since(began) < within+time.Minute {
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(began); took > within {
		l.t.Errorf("%s: %+v after %v, want it within %v", when, l.shortcutTo(), took, within)
	}
}

func TestTheShortcutIsUsedOnceProbesCameBackThroughIt(t *testing.T) {
	for _, c := range []struct {
		name    string
		backend []plan.Path
		hurt    func(*way)
		want    bool
	}{
		{"it works", []plan.Path{plan.PathUDP}, func(*way) {}, true},
		{"nothing comes back", []plan.Path{plan.PathUDP}, func(w *way) { w.cut = true }, false},
		{"user space of the peer has it", []plan.Path{plan.PathUDP}, func(w *way) { w.aside = true }, false},
		{"large packets are lost", []plan.Path{plan.PathUDP}, func(w *way) { w.largest = 1000 }, false},
		{"checksums arrive broken", []plan.Path{plan.PathUDP}, func(w *way) { w.broken, w.always = true, true }, false},
		{"TCP is filtered", []plan.Path{plan.PathUDP}, func(w *way) { w.silent = true }, true},
		{"a better path works", auto, func(*way) {}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := laboratoryWith(t, 1, true, c.backend...)
				l.set(func() { c.hurt(l.to(plan.PathShortcut)) })
				time.Sleep(20 * time.Second)
				if s := l.shortcutTo(); s.Used != c.want || l.switched > 0 {
					t.Errorf("%+v", s)
				}
				want := plan.PathUDP
				if len(c.backend) > 1 {
					want = plan.PathDirect
				}
				l.uses(want, 0, "whatever the short-cut does")
				if r, _ := l.Result(l.id(), plan.PathUDP); want == plan.PathUDP && r.State != probe.Works {
					t.Errorf("user space is not proven beside it: %+v", r)
				}
			})
		})
	}
}

// Under traffic, three probes that are lost are enough. Then it is tried again
// after a time that grows.
func TestTheShortcutIsLeftWithinFiveSecondsUnderTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := laboratoryWith(t, 1, true, plan.PathUDP)
		l.takes(true, 10*time.Second, "at first")
		peer := l.routes.Peer(l.id())
		ctx := t.Context()
		var traffic sync.WaitGroup
		t.Cleanup(traffic.Wait)
		traffic.Go(func() {
			for ctx.Err() == nil {
				peer.AddCarried(route.Volume{Packets: 1000, Bytes: 1e6}, route.Volume{Packets: 1000, Bytes: 1e6})
				time.Sleep(100 * time.Millisecond)
			}
		})
		time.Sleep(20 * time.Second)
		for _, rest := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute} {
			l.set(func() { l.to(plan.PathShortcut).cut = true })
			l.takes(false, 5*time.Second, "cut")
			if s := l.shortcutTo(); s.State != plan.Failed || s.Why == "" {
				t.Errorf("%+v", s)
			}
			l.set(func() { l.to(plan.PathShortcut).cut = false })
			time.Sleep(rest - time.Second)
			if s := l.shortcutTo(); s.Used {
				t.Errorf("it is used again %v after it was left", rest-time.Second)
			}
			l.takes(true, rest/4+15*time.Second, "healed")
			time.Sleep(20 * time.Second)
		}
		l.uses(plan.PathUDP, 0, "all the time")
	})
}
