// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"
	"time"

	"flanneld/test/lab"
)

// The first subnet of the network is held by a pin, and carries packets like
// any other one: Kubernetes gives it to the first node. Its first address is
// the network's own.
func TestTheFirstSubnetCarriesPackets(t *testing.T) {
	t.Parallel()
	for _, backend := range []string{"udp", "auto"} {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t)
			h1, h2 := l.Host(), l.Host()
			h1.Start("--backend", backend, "--subnet", "10.244.0.0/24").WaitReady(ready)
			h2.Start("--backend", backend, "--join", h1.Addr.String(), "--subnet", "10.244.1.0/24").WaitReady(ready)
			l.WaitConverged(2)
			p1, p2 := h1.Pod(), h2.Pod()
			p1.Reachable(t, p2.Addr, 5*time.Second)
			p2.Reachable(t, p1.Addr, 5*time.Second)
			h2.Reachable(t, p1.Addr, 5*time.Second)
			h1.Daemon.Stop()
			h1.Start("--backend", backend, "--join", h2.Addr.String()).WaitReady(ready)
			if got := h1.Lease().String(); got != "10.244.0.0/24" {
				t.Errorf("after a restart without the pin the lease is %s", got)
			}
			p2.Reachable(t, p1.Addr, 5*time.Second)
		})
	}
}
