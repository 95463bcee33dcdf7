// SPDX-License-Identifier: Apache-2.0

//go:build !race

package peers

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Real memberlist in virtual time: whole nodes, but for sockets and the wait
// for the disk. Not under the race detector: with it a bubble of many
// goroutines crashes the runtime of Go 1.26.

// virtually runs f in virtual time.
func virtually(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(lastGasps) }) // runs last: probes and streams under way end by themselves
		f(t)
	})
}

// lastGasps is more than any timer of memberlist's or of a stream's.
const lastGasps = 5 * time.Minute

// extent is how much is tried, from the environment (the longest cut in hours,
// the nodes of a mass start); less where nothing is said, so that the tests
// stay quick.
func extent(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// cluster is some machines on a network of their own.
type cluster struct {
	*testing.T
	net   *vnet
	hosts []*host
}

// newCluster makes n machines; the first is to found, the others join it.
func newCluster(t *testing.T, seed uint64, n int) *cluster {
	t.Helper()
	c := &cluster{T: t, net: newVnet(seed)}
	for range n {
		c.add(nil)
	}
	return c
}

func (c *cluster) add(edit func(*Config)) *host {
	h := newHost(c.T, edit)
	h.sockets = c.net
	if len(c.hosts) > 0 {
		joining(c.hosts[0])(&h.config)
	}
	c.hosts = append(c.hosts, h)
	return h
}

// begin starts all and waits until their tables are equal.
func (c *cluster) begin() {
	c.Helper()
	c.startAll()
	c.converge(healTime)
}

// startAll starts all at once and waits for their leases.
func (c *cluster) startAll() {
	c.Helper()
	for _, h := range c.hosts {
		h.start()
	}
	for _, h := range c.hosts {
		h.leased()
	}
}

func (c *cluster) end() {
	for _, h := range c.hosts {
		h.stop()
	}
}

// healTime is how long tables may differ after a cut of any length.
const healTime = 40 * time.Second

// row is what tables have to agree about.
type row struct {
	state    State
	lease    Lease
	endpoint netip.AddrPort
	start    uint64
}

func (h *host) table() map[NodeID]row {
	rows := map[NodeID]row{}
	for _, n := range h.node.Snapshot().Nodes {
		n.Lease.Held = 0 // each counts for itself
		rows[n.ID] = row{n.State, n.Lease, n.Endpoint, n.Start}
	}
	return rows
}

// alike reports whether all of some hosts' tables are equal, and name that many
// live nodes.
func alike(hosts []*host, alive int) bool {
	first := hosts[0].table()
	n := 0
	for _, r := range first {
		if r.state == Alive {
			n++
		}
	}
	if n != alive {
		return false
	}
	for _, h := range hosts[1:] {
		if !maps.Equal(first, h.table()) {
			return false
		}
	}
	return true
}

// converge waits until all tables are equal, and returns how long it took.
func (c *cluster) converge(limit time.Duration) time.Duration {
	c.Helper()
	start := time.Now()
	for !alike(c.hosts, len(c.hosts)) {
		if time.Since(start) > limit {
			for _, h := range c.hosts {
				c.Logf("%s: %v", h.config.Name, h.table())
			}
			c.Fatalf("tables differ after %v", limit)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(start)
}

// leases are the leases that nodes hold, as each says itself.
func (c *cluster) leases() map[NodeID]netip.Prefix {
	all := map[NodeID]netip.Prefix{}
	for _, h := range c.hosts {
		s := h.node.Snapshot()
		if s.Lease != Confirmed {
			c.Errorf("%s: its lease is %s", h.config.Name, s.Lease)
		}
		all[s.Self.ID] = s.Self.Lease.Prefix
	}
	return all
}

// unchanged fails the test where a lease is another one than before, or two
// overlap.
func (c *cluster) unchanged(before map[NodeID]netip.Prefix) {
	c.Helper()
	now := c.leases()
	if !maps.Equal(before, now) {
		c.Errorf("leases were %v, are %v", before, now)
	}
	if held := slices.Collect(maps.Values(now)); len(slices.Compact(slices.SortedFunc(slices.Values(held), comparePrefixes))) != len(c.hosts) {
		c.Errorf("leases overlap: %v", held)
	}
}

func TestTablesAreEqualSoonAfterACutOfAnyLength(t *testing.T) {
	t.Parallel()
	cuts := []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}
	if hours := extent("FLANNELD_VIRTUAL_HOURS", 0); hours > 0 {
		cuts = append(cuts, time.Duration(hours)*time.Hour)
	}
	for what, way := range map[string]func(some []*host) func(from, to netip.Addr) bool{
		"two-way": between,
		"one-way": func(some []*host) func(from, to netip.Addr) bool {
			cut, in := between(some), some[0].config.Advertise
			inside := func(a netip.Addr) bool { return !cut(in, a) }
			return func(from, to netip.Addr) bool { return inside(from) && !inside(to) }
		},
	} {
		t.Run(what, func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				c := newCluster(t, 1, 5)
				c.begin()
				before := c.leases()
				for _, length := range cuts {
					c.net.sever(way(c.hosts[:2])) // the founder is on the smaller side
					time.Sleep(length)
					if length > time.Minute && what == "two-way" && (!alike(c.hosts[:2], 2) || !alike(c.hosts[2:], 3)) {
						t.Errorf("after %v the two sides do not see each other dead", length)
					}
					c.net.heal()
					t.Logf("cut of %v: tables equal after %v", length, c.converge(healTime).Round(100*time.Millisecond))
					c.unchanged(before)
				}
				c.end()
			})
		})
	}
}

// A part of the network that is cut off and the smaller one grants nothing; the
// other does.
func TestOnlyTheLargerSideOfACutGrantsLeases(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 2, 5)
		c.begin()
		smaller := c.add(nil)                                 // joins the founder, on the smaller side
		larger := c.add(func(cfg *Config) { cfg.Join = nil }) // and this one a node on the larger
		larger.config.Join = []string{c.hosts[3].gossip()}
		c.net.sever(between([]*host{c.hosts[0], c.hosts[1], smaller}))
		time.Sleep(30 * time.Second)
		smaller.start()
		larger.start()
		larger.leased()
		time.Sleep(2 * time.Minute)
		if s := smaller.node.Snapshot(); s.Lease == Confirmed || s.Waiting == "" {
			t.Errorf("the smaller side granted %v; waiting: %q", s.Self.Lease, s.Waiting)
		}
		c.net.heal()
		smaller.leased()
		c.converge(healTime)
		c.end()
	})
}

func TestMassStart(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 3, extent("FLANNELD_VIRTUAL_NODES", 40))
		start := time.Now()
		c.startAll()
		leased := time.Since(start)
		c.converge(healTime)
		t.Logf("%d nodes at once: all have leases after %v, tables are equal after %v", len(c.hosts), leased.Round(time.Millisecond), time.Since(start).Round(100*time.Millisecond))
		if leased > 10*time.Second {
			t.Errorf("it took %v", leased)
		}
		c.unchanged(c.leases())
		c.end()
	})
}

// With a fifth of all datagrams lost, nothing breaks, and no node counts as
// dead for good.
func TestMassStartOverALossyNetwork(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 4, 20)
		c.net.lose(0.2)
		c.net.jitter = 100 * time.Millisecond
		c.begin()
		before := c.leases()
		time.Sleep(2 * time.Minute)
		c.unchanged(before)
		c.net.lose(0)
		c.converge(healTime)
		c.unchanged(before)
		c.end()
	})
}

func TestRollingRestarts(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 5, 10)
		c.begin()
		before := c.leases()
		for round, down := range []time.Duration{0, time.Second, 30 * time.Second} {
			for _, h := range c.hosts {
				h.stop()
				time.Sleep(down)
				h.start()
				h.leased()
				time.Sleep(500 * time.Millisecond)
			}
			t.Logf("round %d, each down for %v: tables equal after %v", round, down, c.converge(healTime).Round(100*time.Millisecond))
			c.unchanged(before)
		}
		c.end()
	})
}

func TestNodesMoveAboutWithoutLosingEachOther(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 6, 6)
		c.begin()
		before := c.leases()
		move := func(h *host) {
			addr := nextHost()
			if err := h.node.Move(t.Context(), addr, addr); err != nil {
				t.Fatal(err)
			}
			h.config.Advertise, h.config.Bind = addr, addr
		}
		for round := range 3 { // one, two at once, all but one at once
			for _, h := range c.hosts[:[]int{1, 2, 5}[round]] {
				move(h)
			}
			t.Logf("round %d: tables equal after %v", round, c.converge(healTime).Round(100*time.Millisecond))
			c.unchanged(before)
			time.Sleep(20 * time.Second) // the members left behind are found dead meanwhile
			c.converge(healTime)
			c.unchanged(before)
		}
		c.end()
	})
}

// A network that is just coming up takes no packet, so the clone does not find
// the node at once.
func TestCloneThatStartsBeforeItsNetworkStops(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 6, 1)
		c.begin()
		first := c.hosts[0]
		lease := first.leased()
		twin := copyOf(t, first)
		twin.sockets = c.net
		c.net.sever(func(from, to netip.Addr) bool { return from != to })
		twin.start()
		time.Sleep(4 * time.Second)
		c.net.heal()
		twin.stopsAndLeaves(first, lease)
		c.end()
	})
}

// A host that is installed anew has another identity, at the address and under
// the name of one that is dead.
func TestNameAndAddressAreUsedAgainByAnotherNode(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 7, 4)
		c.begin()
		gone := c.hosts[3]
		id, lease := gone.node.Snapshot().Self.ID, gone.leased()
		gone.stop()
		gone.config.StateDir = t.TempDir()
		gone.start()
		if again := gone.leased(); again == lease || gone.node.Snapshot().Self.ID == id {
			t.Errorf("the new node has %s, as the old one", again)
		}
		for _, h := range c.hosts {
			h.until("the old node is dead and keeps its lease", func(s *Snapshot) bool {
				for _, n := range s.Nodes {
					if n.ID == id {
						return n.State == Dead && n.Lease.Prefix == lease
					}
				}
				return false
			})
			h.sees(gone, Alive)
		}
		c.end()
	})
}

func TestAllStoppedAndStartedInAnyOrderWithoutASeed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			virtually(t, func(t *testing.T) {
				c := newCluster(t, seed, 8)
				c.begin()
				before := c.leases()
				random := rand.New(rand.NewPCG(seed, 0))
				for _, i := range random.Perm(len(c.hosts)) {
					c.hosts[i].stop()
				}
				absent := nextHost().String()
				for _, i := range random.Perm(len(c.hosts)) {
					c.hosts[i].config.Join = []string{absent}
					c.hosts[i].start()
					time.Sleep(time.Duration(random.Int64N(int64(5 * time.Second))))
				}
				t.Logf("tables equal %v after the last start", c.converge(healTime).Round(100*time.Millisecond))
				c.unchanged(before)
				c.end()
			})
		})
	}
}

// A node that died while another moved is found dead from the new place, too.
func TestNodeThatIsGoneAfterAMoveIsFoundDead(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 8, 3)
		c.begin()
		first, second, third := c.hosts[0], c.hosts[1], c.hosts[2]
		third.stop()
		addr := nextHost()
		if err := second.node.Move(t.Context(), addr, addr); err != nil {
			t.Fatal(err)
		}
		second.sees(third, Dead)
		second.sees(first, Alive)
		first.stop()
		second.stop()
	})
}

// movingName is a name that changes.
type movingName struct {
	mu    sync.Mutex
	addrs []netip.Addr
}

func (m *movingName) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.addrs, nil
}

func (m *movingName) set(addr netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addrs = []netip.Addr{addr}
}

// A seed's name is looked up at each attempt: before the first join, and when
// all others have been lost.
func TestSeedThatMovesIsFoundByItsName(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 9, 2)
		first, second := c.hosts[0], c.hosts[1]
		first.start()
		first.leased()
		name := &movingName{addrs: []netip.Addr{nextHost()}} // no node is there
		second.config.Join = []string{fmt.Sprintf("first.example:%d", testPort)}
		second.resolver = name
		second.start()
		second.logs("seed cannot be joined")
		name.set(first.config.Advertise)
		lease := second.leased()

		// The seed goes, and comes back somewhere else after it has
		// forgotten all others.
		first.stop()
		if err := os.Remove(filepath.Join(first.config.StateDir, tableFile)); err != nil {
			t.Fatal(err)
		}
		addr := nextHost()
		first.config.Advertise, first.config.Bind = addr, addr
		first.config.Join = []string{nextHost().String()} // no node is there
		second.sees(first, Dead)
		name.set(addr)
		first.start()
		second.sees(first, Alive)
		first.seesHolding(second, lease)
		c.end()
	})
}

// Nodes restart faster than memberlist pings its members. Their earlier starts
// do not pile up.
func TestFastRestartsLeaveNoMembersBehind(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T) {
		c := newCluster(t, 31, 3)
		c.begin()
		for i := range 100 {
			h := c.hosts[1+i%2]
			h.stop()
			h.start()
			h.leased()
			time.Sleep(100 * time.Millisecond)
		}
		g := c.hosts[0].node.engine.Load().gossip
		late := time.Now().Add(20 * time.Second)
		for n := g.Counts(); n.Members > 2 || n.Listed > 3; n = g.Counts() {
			if time.Now().After(late) {
				t.Fatalf("%d members here, %d in memberlist", n.Members, n.Listed)
			}
			time.Sleep(100 * time.Millisecond)
		}
		c.end()
	})
}
