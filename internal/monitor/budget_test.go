// SPDX-License-Identifier: Apache-2.0

//go:build !race

package monitor

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"flanneld/internal/plan"
)

// With a thousand nodes, all probes of a node, those of the others and all
// answers stay below 10 kB/s on the underlay, with traffic as well.
func TestAThousandPeersByKernelPathsCostLessThanTenKilobytesASecond(t *testing.T) {
	vxlan, short := []plan.Path{plan.PathVXLAN, plan.PathUDP}, []plan.Path{plan.PathUDP}
	for _, c := range []struct {
		name    string
		backend []plan.Path
		cut     []plan.Path
		talkers int
		gaps    bool
	}{
		{"direct is dropped", auto, []plan.Path{plan.PathDirect}, 0, false},
		{"both are dropped", auto, []plan.Path{plan.PathDirect, plan.PathVXLAN}, 0, false},
		{"at rest", vxlan, nil, 0, false},
		{"traffic to 1 peer", vxlan, nil, 1, false},
		{"traffic to 7 peers", vxlan, nil, 7, false},
		{"traffic to 50 peers", vxlan, nil, 50, false},
		{"traffic to 300 peers", vxlan, nil, 300, false},
		{"traffic to 50 peers, directly", auto, nil, 50, false},
		{"conversations with 50 peers, with gaps", vxlan, nil, 50, true},
		{"at rest, by the short-cut", short, nil, 0, false},
		{"traffic to 50 peers, by the short-cut", short, nil, 50, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const count = 1000
				l := laboratoryWith(t, count, len(c.backend) == 1, c.backend...)
				l.set(func() {
					l.rate, l.talkers, l.gaps = 20, c.talkers, c.gaps
					if c.gaps {
						l.sending = 20
					}
					for _, p := range c.cut {
						for _, w := range l.ways[p] {
							w.cut = true
						}
					}
				})
				l.store(l.cfg.Log)
				l.proofs.aim()
				time.Sleep(3 * time.Minute)
				before := l.bytes()
				const window = 7 * time.Minute
				time.Sleep(window)
				const both = 2 // the others probe here, too
				rate := float64(l.bytes()-before) * both / window.Seconds()
				t.Logf("%.0f B/s, %d plans", rate, l.plans)
				if rate > 10_000 {
					t.Errorf("%.0f B/s", rate)
				}
			})
		})
	}
}

// There is still enough of them for a path that carries traffic.
func TestABusyPathAmongAThousandIsLeftInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLaboratory(t, 1000, plan.PathVXLAN, plan.PathUDP)
		l.set(func() { l.rate, l.talkers = 100, 6 })
		l.store(l.cfg.Log)
		l.proofs.aim()
		time.Sleep(5 * time.Minute)
		l.uses(plan.PathVXLAN, 0, "before it is cut")
		l.set(func() { l.to(plan.PathVXLAN).cut = true })
		l.uses(plan.PathUDP, 5*time.Second, "after it was cut")
	})
}

// Where answers fail to come, that is seen at once, however many peers have
// traffic.
func TestAConversationThatStopsAmongFiftyIsSeenInTime(t *testing.T) {
	for name, hurt := range map[string]func(*way){
		"cut":              func(w *way) { w.cut = true },
		"large ones lost":  func(w *way) { w.largest = 1000 },
		"checksums broken": func(w *way) { w.broken = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLaboratory(t, 1000, auto...)
				l.set(func() { l.rate, l.sending, l.talkers, l.conversing = 100, 100, 50, true })
				l.store(l.cfg.Log)
				l.proofs.aim()
				time.Sleep(5*time.Minute + rand.N(time.Second))
				l.uses(plan.PathDirect, 0, "before")
				l.set(func() { hurt(l.to(plan.PathDirect)) })
				l.uses(plan.PathVXLAN, 5*time.Second, "after")
			})
		})
	}
}

// bytes are all on the underlay so far.
func (l *laboratory) bytes() (n int) {
	l.set(func() {
		for _, peers := range l.ways {
			for _, w := range peers {
				n += w.bytes
			}
		}
	})
	return n
}
