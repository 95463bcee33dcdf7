// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package faults

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"flanneld/test/lab"
)

// noticed is how long a death may go unnoticed at 10 nodes.
const noticed = 10 * time.Second

// TestDeathIsNoticedAndAnswered kills one of ten. All others have to notice in
// time, and to answer packets to it. When it is back they have to notice that,
// too. The test does not run beside others. On a machine that is too busy,
// nodes doubt themselves first, and wait longer before they declare another one
// dead.
func TestDeathIsNoticedAndAnswered(t *testing.T) {
	l := lab.New(t)
	hosts := l.Network(10)
	before := leasesOf(hosts)
	victim, others := hosts[9], hosts[:9]
	victim.Daemon.Kill()
	first, all := stateEverywhere(t, others, victim.NodeName, "dead", noticed)
	t.Logf("dead after %.1f s for the first, after %.1f s for the last", first.Seconds(), all.Seconds())
	for _, h := range others {
		lab.Eventually(t, time.Second, h.NodeName+" to answer host unreachable", func() error {
			a := h.Ping(t, lab.Echo{To: before[victim].Addr()})
			return lab.Expect(a.Type == ipv4.ICMPTypeDestinationUnreachable && a.Code == lab.HostUnreachable, "%v", a)
		})
	}

	start := time.Now()
	victim.Start("--join", hosts[0].Addr.String()).WaitReady(ready)
	lab.WaitAgreed(t, hosts, len(hosts), healed)
	allReachEachOther(t, []*lab.Host{others[0], victim, others[8]})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v until all knew that it is back", took)
	}
	before.unchanged(t, hosts)
}

// stateEverywhere waits until all observers see the node in that state. It
// returns when the first and the last one did.
func stateEverywhere(t *testing.T, observers []*lab.Host, node, state string, limit time.Duration) (first, last time.Duration) {
	t.Helper()
	start := time.Now()
	lab.Eventually(t, limit, fmt.Sprintf("all to see %s %s", node, state), func() error {
		seen := 0
		for _, o := range observers {
			nodes, err := o.Table()
			if err != nil {
				return err
			}
			if nodes.Find(node).State == state {
				seen++
			}
		}
		if first == 0 && seen > 0 {
			first = time.Since(start)
		}
		return lab.Expect(seen == len(observers), "%d of %d do", seen, len(observers))
	})
	return first, time.Since(start)
}
