package core

import (
	"fmt"
	"testing"
	"time"

	"flanneld/peers/internal/record"
)

// replaceHosts lets days pass. On each day some hosts are set up anew and
// others leave. It returns the most that any table and state file grew to.
func replaceHosts(t *testing.T, hosts, days, daily int, ttl time.Duration, each func(day int, w *world)) (nodes, forgets, members, state, vault int) {
	w := newWorld(t, 70, hosts, func(_ int, c *Config) {
		c.LeaseTTL = ttl
		if c.MayFound {
			c.Want = seedNetwork(hosts + hosts/2)
		}
	})
	w.bootInTurn(w.hosts)
	made := 0
	for day := range days {
		for range daily {
			h := w.hosts[1+w.rand.IntN(hosts-1)]
			h.crash()
			made++
			h.disk, h.identity = disk{}, testIdentity(uint64(1_000_000+made))
			h.id, h.config.Identity = h.identity.ID(), h.identity
			h.seeds = w.hosts[:1]
			w.run(ttl / time.Duration(4*daily))
			h.boot()
			w.run(ttl * 3 / time.Duration(4*daily))
		}
		for _, h := range w.hosts {
			if h.core == nil || h.core.table == nil {
				continue
			}
			nodes, forgets, members = max(nodes, len(h.core.table.Nodes)), max(forgets, len(h.core.table.Forgets)), max(members, len(h.core.members))
			state, vault = max(state, len(h.core.State())), max(vault, len(record.Encode(h.core.vault)))
		}
		if each != nil {
			each(day, w)
		}
	}
	w.runUntil(10*time.Minute, "all have a lease", func() bool { return w.confirmedHosts() == hosts })
	return nodes, forgets, members, state, vault
}

// In twice the time tables and state files do not get any larger: entries of
// what is gone are removed.
func TestTablesStayBoundedWhereHostsAreReplacedEveryDay(t *testing.T) {
	const hosts, daily = 8, 4
	nodes, forgets, members, state, vault := replaceHosts(t, hosts, 10, daily, 2*time.Minute, nil)
	n2, f2, m2, s2, v2 := replaceHosts(t, hosts, 40, daily, 2*time.Minute, nil)
	t.Logf("10 days: %d nodes, %d forgotten, %d members, state %d, vault %d bytes; 40 days: %d, %d, %d, %d, %d", nodes, forgets, members, state, vault, n2, f2, m2, s2, v2)
	for what, grew := range map[string]bool{
		"nodes": n2 > 2*nodes, "forgotten nodes": f2 > 2*forgets+daily, "members": m2 > 2*members, "state file": s2 > 2*state, "lease file": v2 > 2*vault,
	} {
		if grew {
			t.Errorf("%s grow with time", what)
		}
	}
}

// TestYear is `make sim YEAR=1`: a hundred hosts a day are replaced, for a year.
// A day and the lease TTL are two minutes: their ratio is what counts.
func TestYear(t *testing.T) {
	if !*simYear {
		return
	}
	nodes, forgets, members, state, vault := replaceHosts(t, 150, 365, 100, 2*time.Minute, func(day int, w *world) {
		if c := w.hosts[0].core; day%30 == 0 {
			fmt.Printf("day %d: %d nodes, %d forgotten, %d members, state %d kB\n", day, len(c.table.Nodes), len(c.table.Forgets), len(c.members), len(c.State())/1000)
		}
	})
	fmt.Printf("most in a year: %d nodes, %d forgotten, %d members, state file %d kB, lease file %d kB\n", nodes, forgets, members, state/1000, vault/1000)
}

// A full table of forgotten nodes takes another one, and says so where it cannot.
func TestAFullTableOfForgottenNodesMakesRoom(t *testing.T) {
	w := newWorld(t, 71, 3, nil)
	w.bootInTurn(w.hosts)
	w.hosts[2].crash()
	w.run(20 * time.Second)
	c := w.hosts[0].core
	for n := range record.MaxForgets {
		c.table.Forgets[someKey(n).ID()] = &record.Stored[record.ForgetRecord]{Rec: record.ForgetRecord{Node: someKey(n).ID()}, Raw: []byte{byte(n), byte(n >> 8)}, Since: Time(n)}
	}
	if err := w.hosts[0].forget(w.hosts[2].id); err != nil {
		t.Fatal(err)
	}
	if len(c.table.Forgets) > record.MaxForgets || c.table.Forgets[w.hosts[2].id] == nil || c.table.HeldBy(w.hosts[2].id) != nil {
		t.Errorf("%d forgotten, the last one %v, its lease %v", len(c.table.Forgets), c.table.Forgets[w.hosts[2].id] != nil, c.table.HeldBy(w.hosts[2].id))
	}
	if c.table.Forgets[someKey(0).ID()] != nil {
		t.Error("it is not the oldest that made room")
	}
}

func TestANodeWithoutALeaseCannotForget(t *testing.T) {
	w := newWorld(t, 72, 3, nil)
	w.bootInTurn(w.hosts[:2])
	w.hosts[0].crash()
	w.run(20 * time.Second)
	w.hosts[2].seeds = w.hosts[1:2]
	w.hosts[2].boot()
	w.run(5 * time.Second)
	if err := w.hosts[2].forget(w.hosts[0].id); err != ErrForgetNoLease {
		t.Errorf("error %v", err)
	}
}

func TestMembersThatAreInNoTableAreDroppedWhenTheyGo(t *testing.T) {
	c := fuzzCore(t)
	before := len(c.members)
	for n := range 1000 {
		c.MemberUp(0, someKey(n).ID())
		c.MemberSuspect(0, someKey(n).ID(), true)
		c.MemberDown(0, someKey(n).ID())
	}
	if len(c.members) > before {
		t.Errorf("%d members are remembered, were %d", len(c.members), before)
	}
}
