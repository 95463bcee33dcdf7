// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"testing"

	"flanneld/test/lab"
)

// TestAllStoppedAndStartedInAnyOrder stops every daemon, or cuts its power, and
// starts the daemons again in a random order. It repeats this without the host
// that all were told to join.
func TestAllStoppedAndStartedInAnyOrder(t *testing.T) {
	t.Parallel()
	random := randomness(seed(t), 300)
	l := lab.New(t)
	hosts := l.Network(5)
	before := leasesOf(hosts)
	join := []string{"--join", hosts[0].Addr.String()}
	for round := range 4 {
		for i := range random.Perm(len(hosts)) {
			if random.IntN(2) == 0 {
				hosts[i].Daemon.Kill()
			} else {
				hosts[i].Daemon.Stop()
			}
		}
		first := round % 2 // every other time the seed stays down
		order := random.Perm(len(hosts) - first)
		for _, i := range order {
			h := hosts[first+i]
			args := join
			if h == hosts[0] {
				args = nil
			}
			d := h.Start(args...)
			if random.IntN(2) == 0 {
				d.WaitReady(ready)
			}
		}
		up := hosts[first:]
		for _, h := range up {
			h.Daemon.WaitReady(ready)
		}
		lab.Eventually(t, healed, "the running nodes to see each other", func() error { return lab.Agreed(up, len(up)) })
		allReachEachOther(t, up)
		if first == 1 { // and now it returns
			hosts[0].Start().WaitReady(ready)
			lab.WaitAgreed(t, hosts, len(hosts), healed)
		}
		before.unchanged(t, hosts)
	}
	allReachEachOther(t, hosts)
}
