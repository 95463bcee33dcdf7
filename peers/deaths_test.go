// SPDX-License-Identifier: Apache-2.0

//go:build !race

package peers

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// In a cut network a node that cannot see another one reports it dead, and
// nodes that can see it hear that. They must not stop talking to it for that.

// mistakenFor is how long a node may count as dead for one that reaches it.
const mistakenFor = 100 * time.Millisecond

// ways is a cut by the numbers of hosts: what is lost.
type ways func(from, to int) bool

// sever makes the cut.
func (c *cluster) sever(cut ways) {
	number := map[netip.Addr]int{}
	for i, h := range c.hosts {
		number[h.config.Advertise] = i
	}
	c.net.sever(func(from, to netip.Addr) bool { return cut(number[from], number[to]) })
}

// watch looks, for a while, how long nodes that reach each other both ways by
// this cut are dead to each other. It returns the longest time in one piece,
// and the sum.
func (c *cluster) watch(length time.Duration, cut ways) (longest, sum time.Duration) {
	const look = 10 * time.Millisecond
	type pair struct{ from, to int }
	since := map[pair]time.Duration{}
	for start := time.Now(); time.Since(start) < length; time.Sleep(look) {
		for i, h := range c.hosts {
			dead := map[NodeID]bool{}
			for _, n := range h.node.Snapshot().Nodes {
				dead[n.ID] = n.State == Dead
			}
			for j, other := range c.hosts {
				p := pair{i, j}
				if i == j || cut(i, j) || cut(j, i) || !dead[other.node.Snapshot().Self.ID] {
					since[p] = 0
					continue
				}
				since[p] += look
				sum += look
				longest = max(longest, since[p])
			}
		}
	}
	return longest, sum
}

// flap makes a cut that comes and goes at random moments for a while.
func (c *cluster) flap(length time.Duration, seed uint64, cut ways) {
	random := rand.New(rand.NewPCG(seed, 0))
	pause := func(most time.Duration) { time.Sleep(200*time.Millisecond + time.Duration(random.Int64N(int64(most)))) }
	for start := time.Now(); time.Since(start) < length; {
		c.sever(cut)
		pause(3 * time.Second)
		c.net.heal()
		pause(time.Second)
	}
}

func TestReachableNodeCountsAsDeadForAMomentAtMost(t *testing.T) {
	t.Parallel()
	for _, k := range []struct {
		name  string
		hosts int
		cut   ways
		flaps bool
	}{
		{"one way", 7, func(from, to int) bool { return from >= 4 && to < 4 }, false},
		{"to a ring", 6, func(from, to int) bool { d := (to - from + 6) % 6; return d >= 2 && d <= 4 }, false},
		{"with a bridging node", 5, func(from, to int) bool { return from != 2 && to != 2 && (from < 2) != (to < 2) }, false},
		{"comes and goes", 5, func(from, to int) bool { return (from < 3) != (to < 3) }, true},
	} {
		t.Run(k.name, func(t *testing.T) {
			for seed := range uint64(extent("FLANNELD_VIRTUAL_SEEDS", 2)) {
				virtually(t, func(t *testing.T) {
					c := newCluster(t, seed, k.hosts)
					c.begin()
					before := c.leases()
					if k.flaps {
						go c.flap(50*time.Second, seed, k.cut)
					} else {
						c.sever(k.cut)
					}
					longest, sum := c.watch(time.Minute, k.cut)
					c.net.heal()
					t.Logf("seed %d: nodes that reach each other were dead to each other for %v, %v in one piece; tables equal after %v",
						seed, sum, longest, c.converge(healTime).Round(100*time.Millisecond))
					if longest > mistakenFor {
						t.Errorf("seed %d: %v is too long", seed, longest)
					}
					c.unchanged(before)
					c.end()
				})
			}
		})
	}
}

// knowDead waits until all of some hosts see the others dead and no one else,
// at most so long from a moment, and returns how long that took.
func knowDead(t *testing.T, since time.Time, atMost time.Duration, hosts []*host, gone ...*host) time.Duration {
	t.Helper()
	for !alike(hosts, len(hosts)) || !seenDead(hosts[0], gone) {
		if time.Since(since) > atMost {
			t.Fatalf("after %v not all nodes know", time.Since(since))
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(since)
}

func seenDead(h *host, gone []*host) bool {
	table := h.table()
	for _, g := range gone {
		if table[g.node.Snapshot().Self.ID].state != Dead {
			return false
		}
	}
	return true
}

// Of ten nodes one dies, again and again. When it is probed for the first time
// is a matter of chance, and so is which node agrees.
func TestDeathIsKnownToAllOfTenInTime(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 1, 10)
		c.begin()
		before := c.leases()
		victim, others := c.hosts[9], c.hosts[:9]
		var took []time.Duration
		for range extent("FLANNELD_VIRTUAL_DEATHS", 10) {
			start := time.Now()
			victim.stop()
			took = append(took, knowDead(t, start, waitAtMost, others, victim))
			victim.start()
			victim.leased()
			c.converge(healTime)
			time.Sleep(2 * time.Second)
		}
		slices.Sort(took)
		most := took[len(took)*9/10-1]
		t.Logf("%d deaths known to all others after %.1f s (median), %.1f s (nine of ten), %.1f s at most", len(took),
			took[len(took)/2].Seconds(), most.Seconds(), took[len(took)-1].Seconds())
		if most > 10*time.Second || took[len(took)-1] > 15*time.Second {
			t.Error("that is too long")
		}
		c.unchanged(before)
		c.end()
	})
}

// Two nodes hear that they are dead, from others that do not hear them. Each
// goes on with the other until that dies.
func TestNodeInDoubtIsDeadWhenItStopsAnswering(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 2, 8)
		c.begin()
		before := c.leases()
		last, victim, others := c.hosts[6], c.hosts[7], c.hosts[:6]
		c.sever(func(from, to int) bool { return from >= 6 && to < 6 })
		time.Sleep(30 * time.Second)
		for _, h := range others {
			if !seenDead(h, c.hosts[6:]) {
				t.Errorf("%s thinks that it reaches them: %v", h.config.Name, h.table())
			}
		}
		if seenDead(last, []*host{victim}) {
			t.Error("a node that answers is dead")
		}
		victim.stop()
		last.sees(victim, Dead) // late: it has few to probe, and doubts itself, since hardly any node answers it
		victim.start()
		c.net.heal()
		c.converge(healTime)
		c.unchanged(before)
		c.end()
	})
}

// massDeath is how long it may take until half a network is missed.
const massDeath = 40 * time.Second

// When half a network loses its power, no node waits for answers one after the
// other.
func TestManyDeathsAtOnceAreKnownInTime(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 3, extent("FLANNELD_VIRTUAL_NODES", 40))
		c.begin()
		half := len(c.hosts) / 2
		start := time.Now()
		for _, h := range c.hosts[half:] {
			h.stop()
		}
		took := knowDead(t, start, massDeath, c.hosts[:half], c.hosts[half:]...)
		t.Logf("%d of %d dead to all others after %v", len(c.hosts)-half, len(c.hosts), took.Round(10*time.Millisecond))
		for _, h := range c.hosts[:half] {
			h.stop()
		}
	})
}
