// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"flanneld/peers/internal/core"
	"flanneld/peers/internal/record"
)

// TestFigures is `make sim NODES=1000`: what a large network takes, in virtual
// time and in bytes, on a local network without faults.
func TestFigures(t *testing.T) {
	n := *simNodes
	if n < 100 || *simRuns > 0 {
		return
	}
	before := heap()
	w := New(t, *simSeed, n, func(i int, c *core.Config) {
		if i == 0 {
			c.Want = record.Network{Prefix: netip.MustParsePrefix("10.0.0.0/12"), SubnetLen: 24}
		}
	})
	w.Links.Base = time.Millisecond
	w.Hosts[0].Boot()
	w.Run(time.Second)
	massStart(w)
	for !w.TablesEqual() {
		w.Run(250 * time.Millisecond)
	}
	fmt.Printf("tables equal %s after the start\n", seconds(w.Now-time.Second))
	fmt.Printf("a whole state has %d kB\n", len(w.Hosts[0].Core.State())/1000)
	fmt.Printf("memory a node at rest %.1f MB\n", float64(heap()-before)/float64(n)/1e6)
	w.Run(time.Minute) // rumors of the start are told to the end
	// Whole states are exchanged every 30 s, and above 32 nodes more
	// rarely: the window has to be longer than that.
	w.Run(time.Duration(w.Hosts[0].swim.syncScale()) * pushPullEvery)
	rest(w, time.Duration(w.Hosts[0].swim.syncScale())*pushPullEvery)
	changes(w, 10)
}

// massStart starts all hosts at once and waits for the leases.
func massStart(w *World) {
	begin := w.Now
	took := map[*Host]time.Duration{}
	for _, h := range w.Hosts[1:] {
		h.Boot()
	}
	sent, messages := w.sent()
	w.RunUntil(20*time.Minute, "all confirmed", func() bool {
		for _, h := range w.Hosts[1:] {
			if took[h] == 0 && h.Confirmed() {
				took[h] = w.Now - begin
			}
		}
		return len(took) == len(w.Hosts)-1
	})
	all := make([]time.Duration, 0, len(took))
	for _, d := range took {
		all = append(all, d)
	}
	bytes, count := w.sent()
	nodes := int64(len(w.Hosts))
	fmt.Printf("%d nodes started at once: lease after p50 %s p99 %s most %s (looked at every 50 ms)\n", len(w.Hosts)-1, seconds(quantile(all, 50)), seconds(quantile(all, 99)), seconds(quantile(all, 100)))
	fmt.Printf("sent a node meanwhile %d messages, %d kB\n", (count-messages)/nodes, (bytes-sent)/nodes/1000)
}

// rest measures what goes on when nothing does.
func rest(w *World, d time.Duration) {
	sent, messages := w.sent()
	w.Run(d)
	bytes, count := w.sent()
	per := float64(len(w.Hosts)) * d.Seconds()
	fmt.Printf("at rest a node sends %.1f messages/s, %.2f kB/s\n", float64(count-messages)/per, float64(bytes-sent)/per/1000)
}

// changes measures how long it takes until all hosts know of a change.
func changes(w *World, times int) {
	var each, whole []time.Duration
	for range times {
		h, begin := pick(w, w.Hosts...), w.Now
		want := Address(h.place, uint16(9000+w.rand.IntN(1000)))
		h.Do(func(now core.Time) { h.Core.SetAddress(now, want, h.Config.Gossip) })
		unaware := slices.Clone(w.Hosts)
		for len(unaware) > 0 && w.Now-begin < time.Minute {
			w.Run(10 * time.Millisecond)
			unaware = slices.DeleteFunc(unaware, func(o *Host) bool {
				knows := o.Core.Inside().Table().Nodes[h.ID].Rec.Endpoint() == want
				if knows && o != h {
					each = append(each, w.Now-begin)
				}
				return knows
			})
		}
		whole = append(whole, w.Now-begin)
	}
	fmt.Printf("a change is known to a node after p50 %s p99 %s; to all after p50 %s most %s (%d changes)\n",
		seconds(quantile(each, 50)), seconds(quantile(each, 99)), seconds(quantile(whole, 50)), seconds(quantile(whole, 100)), times)
}

func (w *World) sent() (bytes, messages int64) {
	for _, h := range w.Hosts {
		bytes, messages = bytes+h.sent, messages+h.sentMessages
	}
	return bytes, messages
}

func quantile(all []time.Duration, percent int) time.Duration {
	slices.Sort(all)
	return all[min(len(all)-1, len(all)*percent/100)]
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
