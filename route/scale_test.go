// SPDX-License-Identifier: Apache-2.0

package route

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"flanneld/internal/packet/packettest"
)

// The cost to the loops of a large table, and of a changing one.

// manyRoutes are n of 16 addresses each, each of a peer of its own.
func manyRoutes(n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		endpoint := netip.AddrPortFrom(addrOf(192<<24|i), 8285)
		entries[i] = Entry{Prefix: netip.PrefixFrom(addrOf(11<<24|i<<4), 28), Kind: Via, Peer: NewPeer("", endpoint, 0)}
	}
	return entries
}

func addrOf(n int) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(n))))
}

var tableSizes = []int{1, 1000, 100_000}

// BenchmarkRoutes is the cost of a small packet in the egress loop by the
// number of routes. The traffic is a stream, where all packets of a batch go
// one way, or eight flows at once, or each packet goes elsewhere, where no
// cache helps.
func BenchmarkRoutes(b *testing.B) {
	for _, flows := range []int{1, 8, 1 << 16} {
		for _, n := range tableSizes {
			b.Run(fmt.Sprintf("flows=%d/routes=%d", flows, n), func(b *testing.B) { benchmarkRoutes(b, n, flows) })
		}
	}
}

func benchmarkRoutes(b *testing.B, routes, flows int) {
	e, _, q, _ := fullLoops(b)
	entries := manyRoutes(routes)
	if err := e.table.store(entries); err != nil {
		b.Fatal(err)
	}
	batches := batchesTo(entries, flows)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += egressBatch {
		q.Feed(batches[n/egressBatch%len(batches)]...)
		if _, err := e.step(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if sent := e.counters.traffic.packets.Load(); sent < uint64(b.N) {
		b.Fatalf("%d packets of %d were sent", sent, b.N)
	}
}

// batchesTo makes packets of that many flows, each to a route drawn at random.
func batchesTo(entries []Entry, flows int) [][][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	packets := make([][]byte, max(flows, egressBatch))
	for i := range packets {
		if i >= flows {
			packets[i] = packets[i-flows]
			continue
		}
		to := entries[random.IntN(len(entries))].Prefix.Addr()
		packets[i] = packettest.Spec{Dst: to.String(), TTL: 255, Payload: packettest.Pattern(44)}.Build()
	}
	var batches [][][]byte
	for ; len(packets) > 0; packets = packets[egressBatch:] {
		batches = append(batches, packets[:egressBatch])
	}
	return batches
}

// BenchmarkLookup is the lookup alone, of addresses drawn at random.
func BenchmarkLookup(b *testing.B) {
	for _, n := range tableSizes {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			var table Table
			if err := table.store(manyRoutes(n)); err != nil {
				b.Fatal(err)
			}
			random := rand.New(rand.NewPCG(1, 2))
			addrs := make([]netip.Addr, 1<<16)
			for i := range addrs {
				addrs[i] = addrOf(11<<24 | random.IntN(n)<<4)
			}
			s := table.load()
			b.ResetTimer()
			for i := range b.N {
				if s.lookup(addrs[i%len(addrs)]) == nil {
					b.Fatal("no route")
				}
			}
		})
	}
}

// BenchmarkChange is what one changed route costs the caller of Store.
func BenchmarkChange(b *testing.B) {
	for _, n := range tableSizes {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			var table Table
			c := newChanger(b, &table, n)
			b.ReportAllocs()
			for b.Loop() {
				c.change()
			}
		})
	}
}

// BenchmarkStreamWhileRoutesChange is the cost of a packet of a stream, through
// the egress loop, while another goroutine changes one of 1,000 routes 1,000
// times a second. Compare it with a goroutine that wakes as often to do
// nothing: on processors that share a core that disturbs, too.
func BenchmarkStreamWhileRoutesChange(b *testing.B) {
	for _, c := range []struct {
		name string
		do   func(*changer)
	}{
		{"nothing", nil},
		{"wakeups", func(c *changer) { c.changes++ }},
		{"changes", (*changer).change},
	} {
		b.Run(c.name, func(b *testing.B) {
			e, _, q, _ := fullLoops(b)
			changer := newChanger(b, e.table, 1000)
			batch := batchesTo(changer.entries, 8)[0]
			if c.do != nil {
				defer changer.start(c.do)()
			}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += egressBatch {
				q.Feed(batch...)
				if _, err := e.step(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// changer stores routes again and again; each time another peer has moved.
type changer struct {
	tb      testing.TB
	feed    Feed
	entries []Entry
	changes int
}

func newChanger(tb testing.TB, table *Table, n int) *changer {
	c := &changer{tb: tb, entries: manyRoutes(n)}
	c.feed.Add(table)
	c.change()
	return c
}

func (c *changer) change() {
	p := c.entries[c.changes%len(c.entries)].Peer
	p.Update(netip.AddrPortFrom(p.Endpoint().Addr(), uint16(8285+c.changes%1000)), 0)
	if err := c.feed.Store(c.entries); err != nil {
		c.tb.Error(err)
	}
	c.changes++
}

// start begins to do something 1,000 times a second. What it returns ends that.
func (c *changer) start(do func(*changer)) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				do(c)
			}
		}
	})
	return func() { close(done); running.Wait() }
}
