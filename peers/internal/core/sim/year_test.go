// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"testing"
	"time"

	"flanneld/peers/internal/core"
)

// fill is how full a host's tables are.
func fill(h *Host) (nodes, forgets, members int) {
	for _, f := range h.Core.View().Fill {
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
func replaceHosts(t *testing.T, hosts, days, daily int, ttl time.Duration, each func(day int, w *World)) (nodes, forgets, members, state, durable int) {
	w := New(t, 70, hosts, func(_ int, c *core.Config) {
		c.LeaseTTL = ttl
		if c.MayFound {
			c.Want = seedNetwork(hosts + hosts/2)
		}
	})
	w.BootInTurn(w.Hosts)
	made := 0
	for day := range days {
		for range daily {
			h := w.Hosts[1+w.rand.IntN(hosts-1)]
			h.Crash()
			made++
			h.Disk, h.Identity = Disk{}, Identity(uint64(1_000_000+made))
			h.ID, h.Config.Identity = h.Identity.ID(), h.Identity
			h.Seeds = w.Hosts[:1]
			w.Run(ttl / time.Duration(4*daily))
			h.Boot()
			w.Run(ttl * 3 / time.Duration(4*daily))
		}
		for _, h := range w.Hosts {
			if h.Core == nil || h.Core.Inside().Table() == nil {
				continue
			}
			n, f, m := fill(h)
			nodes, forgets, members = max(nodes, n), max(forgets, f), max(members, m)
			state, durable = max(state, len(h.Core.State())), max(durable, len(h.Disk.Durable))
		}
		if each != nil {
			each(day, w)
		}
	}
	w.RunUntil(10*time.Minute, "all have a lease", func() bool { return w.ConfirmedHosts() == hosts })
	return nodes, forgets, members, state, durable
}

// In twice the time tables and state files do not get any larger: entries of
// what is gone are removed.
func TestTablesStayBoundedWhereHostsAreReplacedEveryDay(t *testing.T) {
	const hosts, daily = 8, 4
	nodes, forgets, members, state, durable := replaceHosts(t, hosts, 10, daily, 2*time.Minute, nil)
	n2, f2, m2, s2, v2 := replaceHosts(t, hosts, 40, daily, 2*time.Minute, nil)
	t.Logf("10 days: %d nodes, %d forgotten, %d members, state %d, vault %d bytes; 40 days: %d, %d, %d, %d, %d", nodes, forgets, members, state, durable, n2, f2, m2, s2, v2)
	for what, grew := range map[string]bool{
		"nodes": n2 > 2*nodes, "forgotten nodes": f2 > 2*forgets+daily, "members": m2 > 2*members, "state file": s2 > 2*state, "lease file": v2 > 2*durable,
	} {
		if grew {
			t.Errorf("%s grow with time", what)
		}
	}
}

// TestYear is `make sim YEAR=1`: a hundred hosts a day are replaced, for a
// year. A day and the lease TTL are two minutes: their ratio is what counts.
func TestYear(t *testing.T) {
	if !*simYear {
		return
	}
	nodes, forgets, members, state, durable := replaceHosts(t, 150, 365, 100, 2*time.Minute, func(day int, w *World) {
		if c := w.Hosts[0].Core; day%30 == 0 {
			n, f, m := fill(w.Hosts[0])
			fmt.Printf("day %d: %d nodes, %d forgotten, %d members, state %d kB\n", day, n, f, m, len(c.State())/1000)
		}
	})
	fmt.Printf("most in a year: %d nodes, %d forgotten, %d members, state file %d kB, lease file %d kB\n", nodes, forgets, members, state/1000, durable/1000)
}
