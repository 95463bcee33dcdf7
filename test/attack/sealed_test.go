// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package attack

import (
	"testing"
	"time"
)

// TestSealedNetworkRevealsAndAcceptsNothing sends messages without the key to a
// network with a cluster key: a push/pull, phantoms, and records that would end
// leases.
func TestSealedNetworkRevealsAndAcceptsNothing(t *testing.T) {
	t.Parallel()
	f := newField(t, "--key-file", keyFile(t))
	leases := f.leases()
	rest := f.atRest(t)
	if r, err := f.stranger.Exchange(f.hosts[0].Addr, []memberState{f.stranger.member(f.network, f.prefix)}, nil); err == nil {
		t.Errorf("a stranger without the key learns %d members", len(r.members))
	}

	m := Watch(t, f.hosts[0].Daemon)
	f.flood(t, 20_000, 4*time.Second)
	for _, raw := range append(f.freeRecords(leases), f.theftRecords(leases)...) {
		for _, h := range f.hosts {
			if err := f.stranger.Say(h.Addr, append([]byte{typeUser}, rumor(raw)...)); err != nil {
				t.Fatal(err)
			}
		}
		_ = f.stranger.SayOnStream(f.hosts[0].Addr, rumor(raw)) // it may be refused
	}
	time.Sleep(2 * time.Second)
	within(t, "phantoms and records without the key", rest, m.Stop(t))
	f.healthy(t, leases)
	if nodes, err := f.hosts[0].Table(); err != nil || len(nodes.Nodes) != len(f.hosts) {
		t.Errorf("the table has %d nodes, %v", len(nodes.Nodes), err)
	}
	f.deathIsKnown(t, "in a sealed network", func() {})
}
