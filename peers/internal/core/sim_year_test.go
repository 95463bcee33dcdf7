package core

import (
	"fmt"
	"testing"
	"time"
)

// fill is how full a host's tables are.
func fill(h *host) (nodes, forgets, members int) {
	for _, f := range h.core.View().Fill {
		switch f.Table {
		case "nodes":
			nodes = f.Used
		case "forgotten":
			forgets = f.Used
		case "members":
			members = f.Used
		}
	}
	return nodes, forgets, members
}

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
			h.disk, h.identity = disk{}, simIdentity(uint64(1_000_000+made))
			h.id, h.config.Identity = h.identity.ID(), h.identity
			h.seeds = w.hosts[:1]
			w.run(ttl / time.Duration(4*daily))
			h.boot()
			w.run(ttl * 3 / time.Duration(4*daily))
		}
		for _, h := range w.hosts {
			if h.core == nil || h.core.Inside().Table() == nil {
				continue
			}
			n, f, m := fill(h)
			nodes, forgets, members = max(nodes, n), max(forgets, f), max(members, m)
			state, vault = max(state, len(h.core.State())), max(vault, len(h.disk.vault))
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
			n, f, m := fill(w.hosts[0])
			fmt.Printf("day %d: %d nodes, %d forgotten, %d members, state %d kB\n", day, n, f, m, len(c.State())/1000)
		}
	})
	fmt.Printf("most in a year: %d nodes, %d forgotten, %d members, state file %d kB, lease file %d kB\n", nodes, forgets, members, state/1000, vault/1000)
}
