// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"flanneld/test/lab"
)

// TestDeathOfOneOfTenIsKnownToAllWithinTenSeconds does not run beside others:
// what it measures is time.
func TestDeathOfOneOfTenIsKnownToAllWithinTenSeconds(t *testing.T) {
	l := lab.New(t)
	first := l.Host()
	first.Start().WaitReady(ready)
	for range 9 {
		l.Host().Start("--join", first.Addr.String())
	}
	for _, h := range l.Hosts() {
		h.Daemon.WaitReady(2 * ready)
	}
	l.WaitConverged(10)
	victim := l.Hosts()[9]
	pod, lost := l.Hosts()[1].Pod(), victim.Pod()
	pod.Reachable(t, lost.Addr, 5*time.Second)
	lease := victim.Lease()

	victim.Daemon.Kill()
	killed := time.Now()
	for _, h := range l.Hosts()[:9] {
		h.WaitState(victim.NodeName, "dead", time.Until(killed.Add(10*time.Second)))
	}
	t.Logf("dead in every table after %v", time.Since(killed).Round(10*time.Millisecond))
	lab.Eventually(t, 2*time.Second, "host unreachable", func() error {
		a := pod.Ping(t, lab.Echo{To: lost.Addr})
		return lab.Expect(a.Type == ipv4.ICMPTypeDestinationUnreachable && a.Code == lab.HostUnreachable, "%v", a)
	})

	back := time.Now()
	victim.Start("--join", first.Addr.String()).WaitReady(5 * time.Second)
	for _, h := range l.Hosts()[:9] {
		h.WaitState(victim.NodeName, "alive", 5*time.Second)
	}
	pod.Reachable(t, lost.Addr, 5*time.Second)
	t.Logf("alive in every table, and reached, %v after it was started", time.Since(back).Round(10*time.Millisecond))
	if victim.Lease() != lease {
		t.Errorf("it has %v, it had %v", victim.Lease(), lease)
	}
}
