// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"net/netip"
	"testing"
	"time"

	"flanneld/test/lab"
)

// TestThirtyNodes is a mass start: all of them start at once.
func TestThirtyNodes(t *testing.T) { many(t, 30) }

func TestSixtyNodes(t *testing.T) { many(t, 60) }

// many makes a network of n nodes on one machine. It does not run beside other
// tests: with as many daemons the machine is busy enough.
func many(t *testing.T, n int) {
	random := randomness(seed(t), 400)
	l := lab.New(t)
	start := time.Now()
	hosts := l.Network(n)
	t.Logf("%d nodes, made, started and agreed after %.1f s", n, time.Since(start).Seconds())
	before := leasesOf(hosts)
	holders := map[netip.Prefix]bool{}
	for _, lease := range before {
		holders[lease] = true
	}
	if len(holders) != n {
		t.Errorf("%d hosts have %d subnets", n, len(holders))
	}
	for range 60 {
		from, to := hosts[random.IntN(n)], hosts[random.IntN(n)]
		if from != to {
			from.Reachable(t, before[to].Addr(), 5*time.Second)
		}
	}
	memory := 0
	for _, h := range hosts {
		u, err := h.Daemon.Usage()
		if err != nil {
			t.Fatal(err)
		}
		memory += u.Memory
	}
	t.Logf("%d MiB resident in all, %.1f a daemon", memory>>10, float64(memory)/float64(n)/1024)

	victim := hosts[n-1]
	victim.Daemon.Kill()
	first, last := stateEverywhere(t, hosts[:n-1], victim.NodeName, "dead", 2*noticed)
	t.Logf("a death is noticed after %.1f s by the first, after %.1f s by the last", first.Seconds(), last.Seconds())
	victim.Start("--join", hosts[random.IntN(n-1)].Addr.String()).WaitReady(ready)
	took := lab.WaitAgreed(t, hosts, n, healed)
	t.Logf("its return is known everywhere after %.1f s", took.Seconds())
	before.unchanged(t, hosts)
}
