package core

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

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
	w := newWorld(t, *simSeed, n, func(i int, c *Config) {
		if i == 0 {
			c.Want = record.Network{Prefix: netip.MustParsePrefix("10.0.0.0/12"), SubnetLen: 24}
		}
	})
	w.links.base = time.Millisecond
	w.hosts[0].boot()
	w.run(time.Second)
	massStart(w)
	for !w.tablesEqual() {
		w.run(250 * time.Millisecond)
	}
	fmt.Printf("tables equal %s after the start\n", seconds(w.now-time.Second))
	fmt.Printf("a whole state has %d kB\n", len(w.hosts[0].core.State())/1000)
	fmt.Printf("memory a node at rest %.1f MB\n", float64(heap()-before)/float64(n)/1e6)
	w.run(time.Minute) // rumours of the start are told to the end
	// Whole states are exchanged every 30 s, and above 32 nodes more rarely: the
	// window has to be longer than that.
	w.run(time.Duration(w.hosts[0].swim.syncScale()) * pushPullEvery)
	rest(w, time.Duration(w.hosts[0].swim.syncScale())*pushPullEvery)
	changes(w, 10)
}

// massStart starts everybody at once and waits for the leases.
func massStart(w *world) {
	begin := w.now
	took := map[*host]time.Duration{}
	for _, h := range w.hosts[1:] {
		h.boot()
	}
	sent, messages := w.sent()
	w.runUntil(20*time.Minute, "all confirmed", func() bool {
		for _, h := range w.hosts[1:] {
			if took[h] == 0 && h.confirmed() {
				took[h] = w.now - begin
			}
		}
		return len(took) == len(w.hosts)-1
	})
	all := make([]time.Duration, 0, len(took))
	for _, d := range took {
		all = append(all, d)
	}
	bytes, count := w.sent()
	nodes := int64(len(w.hosts))
	fmt.Printf("%d nodes started at once: lease after p50 %s p99 %s most %s (looked at every 50 ms)\n", len(w.hosts)-1, seconds(quantile(all, 50)), seconds(quantile(all, 99)), seconds(quantile(all, 100)))
	fmt.Printf("sent a node meanwhile %d messages, %d kB\n", (count-messages)/nodes, (bytes-sent)/nodes/1000)
}

// rest measures what goes on when nothing does.
func rest(w *world, d time.Duration) {
	sent, messages := w.sent()
	w.run(d)
	bytes, count := w.sent()
	per := float64(len(w.hosts)) * d.Seconds()
	fmt.Printf("at rest a node sends %.1f messages/s, %.2f kB/s\n", float64(count-messages)/per, float64(bytes-sent)/per/1000)
}

// changes measures how long it takes until everybody knows of a change.
func changes(w *world, times int) {
	var each, whole []time.Duration
	for range times {
		h, begin := pick(w, w.hosts...), w.now
		want := addressOf(h.place, uint16(9000+w.rand.IntN(1000)))
		h.do(func(now Time) { h.core.SetAddress(now, want, h.config.Gossip) })
		unaware := slices.Clone(w.hosts)
		for len(unaware) > 0 && w.now-begin < time.Minute {
			w.run(10 * time.Millisecond)
			unaware = slices.DeleteFunc(unaware, func(o *host) bool {
				knows := o.core.Inside().Table().Nodes[h.id].Rec.Endpoint() == want
				if knows && o != h {
					each = append(each, w.now-begin)
				}
				return knows
			})
		}
		whole = append(whole, w.now-begin)
	}
	fmt.Printf("a change is known to a node after p50 %s p99 %s; to all after p50 %s most %s (%d changes)\n",
		seconds(quantile(each, 50)), seconds(quantile(each, 99)), seconds(quantile(whole, 50)), seconds(quantile(whole, 100)), times)
}

func (w *world) sent() (bytes, messages int64) {
	for _, h := range w.hosts {
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
