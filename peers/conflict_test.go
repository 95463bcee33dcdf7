// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// overruled makes a host. Its lease was forgotten while it was away, and given
// to another; it is running again and joins.
func overruled(t *testing.T, edit func(*Config)) (loser *host, subnet netip.Prefix) {
	t.Helper()
	first, _ := founderHost(t)
	loser = newHost(t, joining(first))
	edit(&loser.config)
	loser.start()
	subnet = loser.leased()
	first.seesHolding(loser, subnet)
	name := loser.config.Name
	loser.stop()
	first.sees(loser, Dead)
	if _, err := first.node.Forget(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	heir := newHost(t, func(c *Config) { joining(first)(c); c.Subnet = subnet })
	heir.start()
	heir.leased()
	loser.start()
	loser.logs("lease lost")
	return loser, subnet
}

func TestLostLeaseIsReplacedOnceNoContainerUsesIt(t *testing.T) {
	t.Parallel()
	var inUse atomic.Bool
	inUse.Store(true)
	loser, subnet := overruled(t, func(c *Config) { c.InUse = inUse.Load })
	s := loser.until("the lease is lost", func(s *Snapshot) bool { return s.Lease == Lost })
	if !strings.Contains(s.Waiting, subnet.String()) {
		t.Errorf("waiting: %q", s.Waiting)
	}
	inUse.Store(false)
	if again := loser.leased(); again == subnet {
		t.Errorf("it holds %s again", again)
	}
}

func TestLostLeaseIsNotReplacedWhenToldToWait(t *testing.T) {
	t.Parallel()
	loser, _ := overruled(t, func(c *Config) {
		c.OnConflict = Wait
		c.InUse = func() bool { t.Error("asked about containers"); return false }
	})
	s := loser.until("the lease is lost", func(s *Snapshot) bool { return s.Lease == Lost })
	if s.Self.Lease.Prefix.IsValid() {
		t.Errorf("it still shows %v", s.Self.Lease)
	}
	loser.stop()
	if s := loser.node.Snapshot(); s.Lease != Lost {
		t.Errorf("it ended with %v", s.Lease)
	}
}
