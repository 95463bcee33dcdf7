// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"errors"
	"net/netip"
	"os"
	"testing"
)

// copyOf makes a host with a copy of another's identity and lease, which may be
// running.
func copyOf(t *testing.T, of *host) *host {
	t.Helper()
	h := newHost(t, nil)
	if err := os.MkdirAll(h.config.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{identityFile, leaseFile} {
		b, err := os.ReadFile(of.stateFile(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.stateFile(name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// stopsAndLeaves expects a copy to end, and the node that it was made of to
// keep its lease.
func (h *host) stopsAndLeaves(original *host, lease netip.Prefix) {
	h.t.Helper()
	if err := h.wait(); !errors.Is(err, ErrDuplicateIdentity) {
		h.t.Fatalf("Run of the clone: %v", err)
	}
	if s := original.node.Snapshot(); s.Lease != Confirmed || s.Self.Lease.Prefix != lease {
		h.t.Errorf("the node itself: %v %v", s.Lease, s.Self.Lease)
	}
}

func TestCloneOfALiveNodeStops(t *testing.T) {
	t.Parallel()
	first, lease := founderHost(t)
	twin := copyOf(t, first)
	twin.start()
	twin.stopsAndLeaves(first, lease)
}

// The clone is older than the node's last start, so the name it knows its twin
// by is gone.
func TestCloneOfANodeRestartedSinceStops(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	first.stop()
	twin := copyOf(t, first)
	first.start()
	first.leased()
	first.stop()
	first.start()
	lease := first.leased()
	twin.start()
	twin.stopsAndLeaves(first, lease)
}

// Both count the same starts, so both have one member name.
func TestCloneWithTheSameStartNumberStops(t *testing.T) {
	t.Parallel()
	first, _ := founderHost(t)
	second, _ := joinedHost(t, first)
	second.stop()
	twin := copyOf(t, second)
	joining(first)(&twin.config)
	second.start()
	lease := second.leased()
	first.sees(second, Alive)
	twin.start()
	twin.stopsAndLeaves(second, lease)
}

// The copy has taken over, as after a move to new hardware, and the original
// comes back where it was. The nodes it knows tell it before it has a lease.
func TestOriginalOfALiveCloneStops(t *testing.T) {
	t.Parallel()
	founder, _ := founderHost(t)
	joiner, lease := joinedHost(t, founder)
	joiner.sees(founder, Alive)
	founder.sees(joiner, Alive)
	joiner.stop()
	twin := copyOf(t, joiner)
	joining(founder)(&twin.config)
	twin.start()
	if got := twin.leased(); got != lease {
		t.Fatalf("the clone has %v, it was %v", got, lease)
	}
	founder.meets(twin)
	stopsUnseen(t, joiner)

	lease = founder.leased()
	founder.stop()
	second := copyOf(t, founder)
	joining(twin)(&second.config)
	second.start()
	if got := second.leased(); got != lease {
		t.Fatalf("the founder's clone has %v, it was %v", got, lease)
	}
	twin.meets(second)
	stopsUnseen(t, founder) // it has no node to join, but a node table
}

// meets waits until another host's member is in here, at its endpoint.
func (h *host) meets(other *host) {
	h.t.Helper()
	self := other.node.Snapshot().Self
	h.until("it has met "+self.Gossip.String(), func(*Snapshot) bool {
		m, up := h.node.engine.Load().gossip.Member(self.ID)
		return up && m.Endpoint == self.Gossip
	})
}

// stopsUnseen starts a host that has a duplicate, and expects it to end without
// having had a lease for a moment.
func stopsUnseen(t *testing.T, h *host) {
	t.Helper()
	h.start()
	if err := h.wait(); !errors.Is(err, ErrDuplicateIdentity) {
		t.Fatalf("Run of the original: %v", err)
	}
	if s := h.node.Snapshot(); s.Lease == Confirmed {
		t.Errorf("it had the lease for a moment: %v", s.Self.Lease)
	}
}
